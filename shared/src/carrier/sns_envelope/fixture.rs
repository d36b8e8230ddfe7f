//! Envelopes and certificates for tests. They are self-made, and the private keys are deleted. The
//! signatures were checked with npm `sns-validator` 0.3.5, the one of the end of a subscription
//! with PyPI `cryptography`.

use serde_json::Value;

use super::certificate::Certificate;

/// The certificate that signed all envelopes.
pub const CERTIFICATE: &str = include_str!("../../../../tests/data/sns/certificate.pem");
/// For the same name, with another RSA key.
pub const OTHER_RSA_CERTIFICATE: &str =
    include_str!("../../../../tests/data/sns/other-rsa-certificate.pem");
/// For the same name, with a key on an elliptic curve.
pub const ELLIPTIC_CURVE_CERTIFICATE: &str =
    include_str!("../../../../tests/data/sns/elliptic-curve-certificate.pem");

pub fn certificate(pem: &str) -> Certificate {
    Certificate::parse(pem.as_bytes()).expect("a certificate")
}

pub fn notification_v1() -> Value {
    parse(include_str!(
        "../../../../tests/data/sns/notification-v1.json"
    ))
}

pub fn notification_v2() -> Value {
    parse(include_str!(
        "../../../../tests/data/sns/notification-v2.json"
    ))
}

pub fn notification_v2_without_subject() -> Value {
    parse(include_str!(
        "../../../../tests/data/sns/notification-v2-without-subject.json"
    ))
}

pub fn subscription_confirmation_v1() -> Value {
    parse(include_str!(
        "../../../../tests/data/sns/subscription-confirmation-v1.json"
    ))
}

pub fn subscription_confirmation_v2() -> Value {
    parse(include_str!(
        "../../../../tests/data/sns/subscription-confirmation-v2.json"
    ))
}

pub fn unsubscribe_confirmation_v2() -> Value {
    parse(include_str!(
        "../../../../tests/data/sns/unsubscribe-confirmation-v2.json"
    ))
}

fn parse(envelope: &str) -> Value {
    serde_json::from_str(envelope).expect("JSON")
}

/// Hosts and other prefixes of URLs that are not those of SNS.
pub const OTHER_HOSTS: [&str; 51] = [
    "http://sns.eu-west-1.amazonaws.com",
    "HTTPS://sns.eu-west-1.amazonaws.com",
    "https:/sns.eu-west-1.amazonaws.com",
    "//sns.eu-west-1.amazonaws.com",
    "sns.eu-west-1.amazonaws.com",
    " https://sns.eu-west-1.amazonaws.com",
    "https://sns.eu-west-1.amazonaws.com.evil.example",
    "https://sns.eu-west-1.amazonaws.com.cn.evil.example",
    "https://sns.amazonaws.com.evil.example",
    "https://sns.evil.example",
    "https://evil.example/https://sns.eu-west-1.amazonaws.com",
    "https://evil.example#@sns.eu-west-1.amazonaws.com",
    "https://evil.example?@sns.eu-west-1.amazonaws.com",
    "https://evil.example\\@sns.eu-west-1.amazonaws.com",
    "https://sns.eu-west-1.amazonaws.com@evil.example",
    "https://sns.eu-west-1.amazonaws.com:443@evil.example",
    "https://user@sns.eu-west-1.amazonaws.com",
    "https://user:pass@sns.eu-west-1.amazonaws.com",
    "https://@sns.eu-west-1.amazonaws.com",
    "https://sns.eu-west-1.amazonaws.com:443",
    "https://sns.eu-west-1.amazonaws.com:8443",
    "https://sns.eu-west-1.amazonaws.com:",
    "https://sns.eu-west-1.amazonaws.com.",
    "https://sns.eu-west-1.amazonaws.com?x",
    "https://sns.eu-west-1.amazonaws.com#x",
    "https://sns.eu-west-1.amazonaws.com%2eevil.example",
    "https://sns.eu-west-1.amazonaws.com\t",
    "https://sns.evil.eu-west-1.amazonaws.com",
    "https://evil.s3.amazonaws.com",
    "https://sns.s3.amazonaws.com",
    "https://sns.s3-eu-west-1.amazonaws.com",
    "https://sns.s3-website-eu-west-1.amazonaws.com",
    "https://sns.eu-west-1.s3.amazonaws.com",
    "https://s3.eu-west-1.amazonaws.com/sns.eu-west-1.amazonaws.com",
    "https://sns.amazonaws.com",
    "https://sns..amazonaws.com",
    "https://sns.-1.amazonaws.com",
    "https://sns.--1.amazonaws.com",
    "https://sns.EU-WEST-1.amazonaws.com",
    "https://sns.eu-west-.amazonaws.com",
    "https://sns.eu-wést-1.amazonaws.com",
    "https://snsxeu-west-1.amazonaws.com",
    "https://xsns.eu-west-1.amazonaws.com",
    "https://sns.eu-west-1.amazonaws.com.com",
    "https://sns.eu-west-1xamazonaws.com",
    "https://169.254.169.254",
    "https://127.0.0.1",
    "https://[::1]",
    "file://",
    "https://",
    "",
];
