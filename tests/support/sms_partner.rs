//! A stand-in for SMS Partner: a vendor that takes one request for a message, and reports about it.

use serde_json::{Value, json};

use super::listener::{Listener, Request, response};
use super::service::Service;

/// An API key.
pub const SMS_PARTNER_KEY: &str = "0123456789abcdef0123456789abcdef01234567";
/// The response to a message that it takes.
pub const SMS_PARTNER_ACCEPTED: &str =
    r#"{"success":true,"code":200,"message_id":307,"nb_sms":1,"cost":0.038,"currency":"EUR"}"#;

/// Responds with this to every message, and reports `status` before it does.
pub async fn sms_partner(
    response_of: (u16, &'static str),
    status: Option<&'static str>,
) -> Listener {
    Listener::open(0, move |request: Request| async move {
        let sent: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if let Some(status) = status {
            let url = sent["urlDlr"].as_str().expect("a callback URL").to_owned();
            tokio::spawn(report(url, status));
        }
        response(response_of.0, &[], response_of.1)
    })
    .await
}

async fn report(url: String, status: &str) {
    let path_at = url.find("/v1/").expect("a path");
    let body = json!({"message_id": 307, "status": status}).to_string();
    let headers = [("content-type", "application/json")];
    let service = Service::at(&url[..path_at]);
    service.raw("POST", &url[path_at..], &headers, body).await;
}
