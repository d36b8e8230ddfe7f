//! Bodies of an app's requests: JSON, and the forms of Twilio's API. Invariants: no panic; what is
//! accepted is within its bounds; the canonical form of an object is its own canonical form.

use std::sync::LazyLock;

use lambda_http::http::Request;
use lambda_http::{Body, Request as LambdaRequest};
use otp::api::request::json_body;
use otp::api::twilio;
use otp::api::v1::check::read_check;
use otp::api::v1::recipient::read_to;
use otp::api::v1::send::{read_resend, read_send};
use otp::api::v1::subjects::check::read_factor_check;
use otp::api::v1::subjects::decision::read_decision;
use otp::api::v1::subjects::enrolment::read_enrolment;
use otp::crypto::keyring::Keyring;
use otp::domain::factor::FactorType;
use otp::domain::ids::FactorId;
use otp::domain::policy::Policy;
use otp::platform::json::{canonical, parse_object};

static KEYRING: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::new("k1".into(), &[("k1".to_owned(), [1; 32])].into(), &[2; 32]));
static POLICY: LazyLock<Policy> = LazyLock::new(Policy::default);

fn request(body: &[u8], content_type: &str) -> LambdaRequest {
    let request = Request::post("/v1/verifications").header("content-type", content_type);
    let request = request.header("idempotency-key", "k");
    request
        .body(Body::Binary(body.to_vec()))
        .expect("a request")
}

/// Reads one input.
pub fn run(body: &[u8]) {
    let request = request(body, "application/json");
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
    read_of_subject(&request);
    read_form(body);
    if let Ok(object) = parse_object(body) {
        let canonical_body = canonical(&object);
        let again = parse_object(&canonical_body).expect("a JSON object");
        assert_eq!(canonical(&again), canonical_body);
    }
}

fn read_of_subject(request: &LambdaRequest) {
    for kind in [FactorType::Totp, FactorType::Hotp, FactorType::BackupCodes] {
        let factor = FactorId::new(kind, [0; 16]);
        if let Ok((check, read)) = read_factor_check(request, Some(factor)) {
            assert_eq!(read, kind);
            assert!((4..=10).contains(&check.code.reveal().len()));
        }
    }
    assert!(read_factor_check(request, None).is_err());
    let _ = read_enrolment(request, &KEYRING, "default", &POLICY);
    let _ = read_decision(request, &KEYRING, "default");
}

fn read_form(body: &[u8]) {
    let request = request(body, "application/x-www-form-urlencoded");
    let _ = twilio::create::read_create(&request, &POLICY);
    let _ = twilio::update::read_update(&request);
    if let Ok((_, check)) = twilio::check::read_check(&request, "default", &KEYRING, &POLICY) {
        assert!((4..=10).contains(&check.code.reveal().len()));
    }
}
