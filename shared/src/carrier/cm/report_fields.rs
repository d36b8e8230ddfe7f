//! The fields of CM.com's reports: `reference`, `status`, `error`.
//!
//! CM documents a JSON and an XML document, and a template, for a form or a URL, of which the
//! account chooses the names. Published receivers read them in capitals, so names are read without
//! regard to case.

use std::collections::BTreeMap;

use ::http::Method;
use roxmltree::{Document, Node};
use serde_json::Value;

use crate::carrier::carrier_trait::{Callback, ReportError};
use crate::carrier::vendor_format::{flat_report, lenient_json};

/// The fields of one message: `reference`, `status`, `error`.
pub(super) type MessageFields = BTreeMap<&'static str, String>;

/// The names of each field, in lower case.
const NAMES: [(&str, &[&str]); 3] = [
    ("reference", &["reference"]),
    ("status", &["status", "code"]),
    (
        "error",
        &[
            "error",
            "standarderrortext",
            "errordescription",
            "statusdescription",
        ],
    ),
];

/// The fields of each message in a report. A field may be missing.
///
/// # Errors
/// [`ReportError::Forged`] for a method other than GET and POST; [`ReportError::Unreadable`] for
/// anything in none of the formats.
pub(super) fn messages(callback: &Callback<'_>) -> Result<Vec<MessageFields>, ReportError> {
    if *callback.method == Method::POST {
        if let Ok(document) = lenient_json::report_object(callback.body) {
            return Ok(json_messages(&document));
        }
        if callback.body.trim_ascii_start().starts_with(b"<") {
            return xml_messages(callback.body);
        }
    }
    let fields = flat_report::fields(callback)?;
    let message = named(|name| {
        let mut fields = fields.iter();
        fields
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
    });
    if !message.contains_key("reference") && !message.contains_key("status") {
        return Err(ReportError::Unreadable);
    }
    Ok(vec![message])
}

/// The fields that `value_of` finds under one of their names.
fn named(value_of: impl Fn(&str) -> Option<String>) -> MessageFields {
    let field = |(field, names): (&'static str, &[&str])| {
        let value = names.iter().find_map(|name| value_of(name))?;
        Some((field, value))
    };
    NAMES.into_iter().filter_map(field).collect()
}

/// One message as documented, or a list of messages, or a template of flat fields.
fn json_messages(document: &Value) -> Vec<MessageFields> {
    let message = |message: &Value| {
        let in_status = |name: &str| text(member(message, "status")?, name);
        named(|name| text(message, name).or_else(|| in_status(name)))
    };
    match member(document, "messages").and_then(|messages| member(messages, "msg")) {
        Some(Value::Array(messages)) => messages.iter().map(message).collect(),
        Some(single) => vec![message(single)],
        None => vec![named(|name| text(document, name))],
    }
}

/// A text or a number.
fn text(object: &Value, name: &str) -> Option<String> {
    match member(object, name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The member of an object whose name differs in case at most.
fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let mut members = object.as_object()?.iter();
    members
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// The `MSG` elements of a document without a DTD.
fn xml_messages(body: &[u8]) -> Result<Vec<MessageFields>, ReportError> {
    let text = std::str::from_utf8(body).map_err(|_| ReportError::Unreadable)?;
    let document = Document::parse(text).map_err(|_| ReportError::Unreadable)?;
    let message = |message: Node<'_, '_>| {
        named(|name| {
            let mut elements = message.descendants();
            let has_name = |node: &Node<'_, '_>| {
                node.tag_name().name().eq_ignore_ascii_case(name) && !has_elements(*node)
            };
            let element = elements.find(has_name)?;
            Some(element.text().unwrap_or_default().trim().to_owned())
        })
    };
    let messages = document.descendants();
    let messages = messages.filter(|node| node.tag_name().name().eq_ignore_ascii_case("msg"));
    Ok(messages.map(message).collect())
}

fn has_elements(node: Node<'_, '_>) -> bool {
    node.children().any(|child| child.is_element())
}

#[cfg(test)]
mod tests {
    use ::http::HeaderMap;

    use super::*;

    fn read(method: &Method, query: &str, body: &str) -> Result<Vec<String>, ReportError> {
        let callback = Callback {
            method,
            query,
            headers: &HeaderMap::new(),
            body: body.as_bytes(),
            url: "",
        };
        let one = |fields: MessageFields| {
            let fields: Vec<_> = fields.iter().map(|(n, v)| format!("{n}={v}")).collect();
            fields.join(" ")
        };
        messages(&callback).map(|messages| messages.into_iter().map(one).collect())
    }

    #[test]
    fn every_format_gives_the_same_fields() {
        let expected = Ok(vec!["error=too late reference=r1 status=3".to_owned()]);
        let json = r#"{"messages":{"msg":{"received":"2025-11-21T19:30:00","to":"0033612345678","reference":"r1",
            "status":{"code":"3","errorCode":"5","errorDescription":"too late"},"operator":"20801"}}}"#;
        let xml = r#"<?xml version="1.0"?>
            <MESSAGES><MSG RECEIVED="2025-11-21T19:30:00"><TO>0033612345678</TO><REFERENCE>r1</REFERENCE>
            <STATUS><CODE> 3 </CODE><ERRORCODE>5</ERRORCODE><ERRORDESCRIPTION>too late</ERRORDESCRIPTION></STATUS>
            <OPERATOR>20801</OPERATOR></MSG></MESSAGES>"#;
        let template = "GSM=0033612345678&REFERENCE=r1&STATUS=3&STANDARDERRORTEXT=too+late";
        let named_by_us = "reference=r1&status=3&error=too+late";
        for body in [json, &json.to_ascii_uppercase().replace("R1", "r1")] {
            let read = read(&Method::POST, "", body).map(|m| m.concat().to_ascii_lowercase());
            assert_eq!(read, expected.clone().map(|m| m.concat()), "{body}");
        }
        let lower = xml.to_ascii_lowercase();
        for body in [xml, &lower, template, named_by_us] {
            assert_eq!(read(&Method::POST, "", body), expected, "{body}");
        }
        for query in [template, named_by_us, &template.to_ascii_lowercase()] {
            assert_eq!(read(&Method::GET, query, ""), expected, "{query}");
        }
        let flat_json = r#"{"REFERENCE":"r1","STATUS":3,"STANDARDERRORTEXT":"too late"}"#;
        assert_eq!(read(&Method::POST, "", flat_json), expected);
    }

    #[test]
    fn xml_may_have_several_messages_with_gaps() {
        let two = "<messages><msg><reference>a&amp;b</reference></msg><msg><status><code>2</code></status></msg></messages>";
        assert_eq!(
            read(&Method::POST, "", two),
            Ok(vec!["reference=a&b".to_owned(), "status=2".to_owned()])
        );
        assert_eq!(read(&Method::POST, "", "<html>Hi</html>"), Ok(vec![]));
    }

    #[test]
    fn entities_and_broken_documents_are_unreadable() {
        let bomb = r#"<!DOCTYPE m [<!ENTITY a "aaaa">]><messages><msg><reference>&a;</reference></msg></messages>"#;
        let deep = "<msg>".repeat(3_000);
        for body in [bomb, &deep, "<messages><msg>", "<", "<a></b>"] {
            assert_eq!(
                read(&Method::POST, "", body),
                Err(ReportError::Unreadable),
                "{body:.60}"
            );
        }
        let nested = format!("{}{}", "<msg>".repeat(1_400), "</msg>".repeat(1_400));
        assert!(
            read(&Method::POST, "", &nested).is_ok_and(|messages| messages.concat().is_empty())
        );
        assert_eq!(
            read(&Method::GET, "", "<MESSAGES/>"),
            Err(ReportError::Unreadable)
        );
        assert_eq!(read(&Method::PUT, "status=2", ""), Err(ReportError::Forged));
    }
}
