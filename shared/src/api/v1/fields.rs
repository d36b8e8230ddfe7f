//! Fields that several requests have.

use std::net::IpAddr;

use crate::api::client_address;
use crate::api::problem::{ErrorCode, Problem};
use crate::domain::device::{DEVICE_LENGTH_MAX, Device};
use crate::domain::pasted_text;
use crate::domain::phone::is_country;
use crate::domain::subject_id::SubjectId;
use crate::domain::verification_params::Transaction;
use crate::message::has_visible_text;
use crate::platform::json::Fields;

/// Each of amount, currency and payee.
const TRANSACTION_TEXT_LENGTH_MAX: usize = 64;

/// `purpose`.
pub(super) fn purpose(fields: &mut Fields) -> Option<String> {
    let is_allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    let purpose = |text: &str| {
        let fits = (1..=32).contains(&text.len()) && text.bytes().all(is_allowed);
        fits.then(|| text.to_owned())
    };
    fields.parsed_text(
        "purpose",
        purpose,
        "1 to 32 characters of a-z, 0-9, _ and -",
    )
}

/// `subject`.
pub(super) fn subject(fields: &mut Fields) -> Option<SubjectId> {
    fields.parsed_text("subject", |id| id.parse().ok(), SUBJECT_CHARACTERS)
}

/// What a subject id is.
pub(super) const SUBJECT_CHARACTERS: &str =
    "1 to 255 characters of A-Z, a-z, 0-9 and . _ ~ - : @ |, a letter or digit first";

/// `transaction`.
pub(super) fn transaction(fields: &mut Fields) -> Option<Transaction> {
    fields.object("transaction", |nested| {
        let [amount, currency, payee] = ["amount", "currency", "payee"].map(|name| {
            let text = nested.required_bounded_text(name, 1..=TRANSACTION_TEXT_LENGTH_MAX);
            if !text.is_empty() && !has_visible_text(&text) {
                nested.reject(name, "Must contain at least one visible character.");
            }
            text
        });
        Transaction {
            amount,
            currency,
            payee,
        }
    })
}

/// `country`, in upper case.
pub(super) fn country(fields: &mut Fields) -> Option<String> {
    let country = |text: &str| {
        let code = pasted_text::plain(text).to_ascii_uppercase();
        is_country(&code).then_some(code)
    };
    fields.parsed_text("country", country, "an ISO 3166 code such as FR")
}

/// `push_to`.
pub(super) fn push_to(fields: &mut Fields) -> Option<Device> {
    let expected = format!("1 to {DEVICE_LENGTH_MAX} characters, no control characters");
    fields.parsed_text("push_to", Device::parse, &expected)
}

/// 422: channel push without `push_to`.
pub(super) fn device_missing() -> Problem {
    let detail = "Is required for channel `push`.";
    Problem::field(ErrorCode::InvalidRequest, "push_to", detail)
}

/// `client_ip`, without its port.
pub(super) fn client_ip(fields: &mut Fields) -> Option<IpAddr> {
    ip(fields, "client_ip")
}

/// The address in the field `name`, without its port.
pub(super) fn ip(fields: &mut Fields, name: &str) -> Option<IpAddr> {
    fields.parsed_text(name, client_address::parse, "one IPv4 or IPv6 address")
}
