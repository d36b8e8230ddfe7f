//! The event `{"reseal":{"after":null}}`: seals one part of the table under the current key.

use data_encoding::BASE64URL_NOPAD;
use lambda_http::Error;
use otp::domain::time::Timestamp;
use otp::service::factors::Subjects;
use otp::service::factors::reseal::reseal as reseal_part;
use serde_json::{Value, json};

/// Reseals the part that begins after `part.after`: base64url, from the response before. The
/// response says where the next part begins.
///
/// # Errors
/// `after` is not from a response, or the table failed: the part is to be repeated.
pub(super) async fn reseal(
    subjects: &Subjects,
    part: &Value,
    now: Timestamp,
) -> Result<Value, Error> {
    let after = match &part["after"] {
        Value::Null => None,
        after => Some(position(after).ok_or("`after` must be that of an earlier response")?),
    };
    let done = reseal_part(subjects, after.as_deref(), now).await?;
    Ok(json!({
        "scanned": done.scanned,
        "resealed": done.resealed,
        "after": done.after.map(|key| BASE64URL_NOPAD.encode(&key)),
    }))
}

fn position(after: &Value) -> Option<Vec<u8>> {
    let key = BASE64URL_NOPAD.decode(after.as_str()?.as_bytes()).ok()?;
    (!key.is_empty()).then_some(key)
}
