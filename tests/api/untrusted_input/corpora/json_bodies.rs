//! Bodies of an app's requests. Invariants: no panic, and what is accepted is within its bounds.

use std::sync::LazyLock;

use lambda_http::http::Request;
use lambda_http::{Body, Request as LambdaRequest};
use otp::api::request::json_body;
use otp::api::v1::check::read_check;
use otp::api::v1::recipient::read_to;
use otp::api::v1::send::{read_resend, read_send};
use otp::crypto::keyring::Keyring;
use otp::domain::policy::Policy;

static KEYRING: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::new("k1".into(), &[("k1".to_owned(), [1; 32])].into(), &[2; 32]));
static POLICY: LazyLock<Policy> = LazyLock::new(Policy::default);

fn request(body: &[u8]) -> LambdaRequest {
    let request = Request::post("/v1/verifications").header("content-type", "application/json");
    let request = request.header("idempotency-key", "k");
    request
        .body(Body::Binary(body.to_vec()))
        .expect("a request")
}

/// Reads one input.
pub fn run(body: &[u8]) {
    let request = request(body);
    let _ = read_resend(&request);
    if let Ok(body) = json_body(&request) {
        let _ = read_to(body);
    }
    if let Ok(send) = read_send(&request, &KEYRING, "default", &POLICY) {
        assert!(send.to.canonical().len() <= 320);
    }
    if let Ok(check) = read_check(&request, &POLICY) {
        assert!((4..=10).contains(&check.code.reveal().len()));
    }
}
