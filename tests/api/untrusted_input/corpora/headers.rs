//! Headers of requests: one header a line, `name: value`. Invariants: no panic; no header gives an
//! app access; a key and a request id are printable and within their bounds.

use lambda_http::http::Request;
use lambda_http::{Body, Request as LambdaRequest};
use otp::api::authorization::authorize;
use otp::api::request::{idempotency_key, json_body, request_id};
use otp::config::ApiKeys;
use otp::domain::time::Timestamp;

fn request(lines: &[u8]) -> Option<LambdaRequest> {
    let mut request = Request::post("/v1/verifications");
    for line in lines.split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = &line[colon + 1..];
        request = request.header(&line[..colon], value.trim_ascii());
    }
    request.body(Body::Text("{}".to_owned())).ok()
}

/// Reads one input.
pub fn run(lines: &[u8]) {
    let Some(request) = request(lines) else {
        return;
    };
    assert!(authorize(&request, &ApiKeys::default(), Timestamp::default()).is_err());
    if let Ok(Some(key)) = idempotency_key(&request) {
        assert!((1..=255).contains(&key.len()) && key.is_ascii());
    }
    let id = request_id(&request);
    assert!(!id.is_empty() && id.len() <= 128 && !id.contains(char::is_control));
    let _ = json_body(&request);
}
