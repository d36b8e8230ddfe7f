//! Reports that are a flat list of fields: in the query string, in a form, or in a JSON object.

use std::collections::BTreeMap;

use ::http::Method;
use serde_json::Value;

use super::form;
use crate::carrier::carrier_trait::{Callback, ReportError};

/// The fields of a report. If a name occurs more than once, the first value counts; the query comes
/// before the body. A body that cannot be read has no fields.
///
/// # Errors
/// [`ReportError::Forged`] for a method other than GET and POST.
pub fn fields(callback: &Callback<'_>) -> Result<BTreeMap<String, String>, ReportError> {
    let body: Vec<(String, String)> = match *callback.method {
        Method::GET => vec![],
        Method::POST if callback.body.trim_ascii_start().starts_with(b"{") => {
            json_fields(callback.body)
        }
        Method::POST => form::decode(callback.body).collect(),
        _ => return Err(ReportError::Forged),
    };
    let mut fields = BTreeMap::new();
    for (name, value) in form::decode(callback.query.as_bytes()).chain(body) {
        fields.entry(name).or_insert(value);
    }
    Ok(fields)
}

/// The texts and numbers of a JSON object.
fn json_fields(body: &[u8]) -> Vec<(String, String)> {
    let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
        return vec![];
    };
    object
        .into_iter()
        .filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, text)),
            Value::Number(number) => Some((name, number.to_string())),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ::http::HeaderMap;

    use super::*;

    #[test]
    fn fields_are_read_from_query_form_and_json() {
        let read = |method: &Method, query: &str, body: &str| {
            let callback = Callback {
                method,
                query,
                headers: &HeaderMap::new(),
                body: body.as_bytes(),
                url: "",
            };
            fields(&callback).map(|fields| {
                fields
                    .into_iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        assert_eq!(
            read(&Method::GET, "a=1&b=%2B2&a=3", "a=4").as_deref(),
            Ok("a=1 b=+2"),
            "a GET has no body"
        );
        assert_eq!(
            read(&Method::POST, "a=1", "a=2&c=3").as_deref(),
            Ok("a=1 c=3")
        );
        assert_eq!(
            read(
                &Method::POST,
                "",
                " {\"a\":1,\"b\":\"x\",\"c\":{},\"d\":null}"
            )
            .as_deref(),
            Ok("a=1 b=x")
        );
        assert_eq!(read(&Method::POST, "a=1", "{").as_deref(), Ok("a=1"));
        for method in [Method::PUT, Method::DELETE, Method::HEAD, Method::OPTIONS] {
            assert_eq!(read(&method, "a=1", ""), Err(ReportError::Forged));
        }
    }
}
