//! Recipients in requests: phone numbers and e-mail addresses; and what a lookup shows of one.

use super::fields;
use super::verification::render;
use crate::api::problem::{ErrorCode, Problem};
use crate::domain::address::Address;
use crate::domain::email::EmailAddress;
use crate::domain::phone::{PhoneError, PhoneNumber};
use crate::domain::policy::Policy;
use crate::domain::time::Timestamp;
use crate::platform::json::Fields;
use crate::service::recipients::FoundRecipient;
use serde_json::{Map, Value, json};

/// Reads `{"to","country"}` of a request of the support desk.
///
/// # Errors
/// 422, 403.
pub fn read_to(body: Map<String, Value>) -> Result<Address, Problem> {
    let mut fields = Fields::new(body);
    let to = fields.required_text("to");
    let country = fields::country(&mut fields);
    fields.finish().map_err(Problem::invalid)?;
    read_address(&to, to.contains('@'), country.as_deref())
}

/// The response of a lookup of `to`.
#[must_use]
pub fn render_lookup(
    to: &Address,
    found: &FoundRecipient,
    policy: &Policy,
    now: Timestamp,
) -> Value {
    let recipient = &found.recipient;
    let readable = found.ids.iter().zip(recipient.readable(now));
    let verifications: Vec<Value> = readable
        .map(|(id, verification)| render(*id, recipient, verification, policy, now))
        .collect();
    let next_send_at = Some(recipient.next_send_at(policy, now)).filter(|at| *at > now);
    json!({
        "to": to.reveal(),
        "verifications": verifications,
        "failures_24h": recipient.failures_in_a_day(now),
        "next_send_at": next_send_at.map(|at| at.to_string()),
    })
}

/// Reads an address. `country`: region of a national spelling.
pub(super) fn read_address(
    to: &str,
    is_email: bool,
    country: Option<&str>,
) -> Result<Address, Problem> {
    if is_email {
        let email = EmailAddress::parse(to).map(Address::Email);
        let detail = "Must be one plain e-mail address.";
        return email.ok_or_else(|| Problem::field(ErrorCode::InvalidEmail, "to", detail));
    }
    match PhoneNumber::parse(to, country) {
        Ok(number) => Ok(Address::Phone(number)),
        Err(PhoneError::Invalid) => {
            let detail = "Must be one valid phone number, international or with `country`.";
            Err(Problem::field(ErrorCode::InvalidNumber, "to", detail))
        }
        Err(PhoneError::NotAllowed) => {
            let detail = "Messages cannot be sent to this type of number.";
            Err(Problem::new(ErrorCode::NumberNotAllowed, detail))
        }
    }
}
