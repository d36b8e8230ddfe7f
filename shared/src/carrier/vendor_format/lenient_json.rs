//! JSON as vendors write it: fields may be missing, and numbers may be strings.

use serde_json::Value;

use crate::carrier::carrier_trait::ReportError;

/// A report that is one JSON object. A report that lacks fields is accepted: the account may carry
/// messages of other systems, and vendors repeat a rejected report for days.
///
/// # Errors
/// [`ReportError::Unreadable`] for anything that is not a JSON object.
pub fn report_object(body: &[u8]) -> Result<Value, ReportError> {
    serde_json::from_slice(body)
        .ok()
        .filter(Value::is_object)
        .ok_or(ReportError::Unreadable)
}

/// A whole number, which vendors write as a number in one response and as a string in the next.
#[must_use]
pub fn whole_number(value: &Value) -> Option<i64> {
    value
        .as_i64()
        .or_else(|| value.as_str()?.trim().parse().ok())
}
