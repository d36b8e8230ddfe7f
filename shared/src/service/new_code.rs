//! New codes: the verification of a send, and the fresh code of a resend. A code comes from the
//! operating system's generator and is sealed at once.

use super::sending::{SendContext, SendRequest};
use crate::crypto::sealing::SealedFor;
use crate::domain::code::Code;
use crate::domain::delivery::Cause;
use crate::domain::ids::{DeliveryTag, VerificationNonce};
use crate::domain::recipient::Recipient;
use crate::domain::text_reference::TextReference;
use crate::domain::verification::{SealedCode, Verification};
use crate::domain::verification_params::{VerificationParams, VerificationSubject};
use crate::message;
use crate::platform::random::{entropy, random_bytes};

/// The verification that `request` opens, with its first message. `known_code`: that of a test
/// number.
pub(super) fn new_verification(
    context: &SendContext<'_>,
    request: &SendRequest,
    recipient: &Recipient,
    known_code: Option<&Code>,
) -> Verification {
    let (policy, now) = (context.policy, context.now);
    let (country, requested) = (request.to.country(), request.locale.as_deref());
    let locale = message::negotiate(requested, country, &policy.locale);
    let ttl_seconds = request.ttl_seconds.unwrap_or(policy.code_ttl_seconds);
    let nonce = unused_nonce(recipient);
    let params = VerificationParams {
        nonce,
        channel: request.channel,
        fallback: request.fallback.clone(),
        locale: locale.tag().to_owned(),
        purpose: request.purpose.clone(),
        transaction: request.transaction.clone(),
        subject: subject(context, request, recipient, nonce),
        reference: request.reference.clone(),
        idempotency: request.idempotency,
        created_at: now,
        expires_at: now + ttl_seconds,
        attempts_max: recipient.attempts_allowed(policy, now),
    };
    let random = || {
        let length = recipient.code_length(request.code_length.unwrap_or(policy.code_length));
        Code::generate(policy.code_alphabet, length, &mut entropy())
    };
    let code = known_code.or(request.code.as_ref()).cloned();
    let code = code.unwrap_or_else(random);
    let sealed = context
        .sending
        .keyring
        .seal_code(context.key, &params, &code);
    let (keyring, nonce) = (&context.sending.keyring, params.nonce);
    let device = request.push_to.as_ref();
    let mut verification = Verification {
        is_code_of_app: request.code.is_some(),
        custom_text: request.custom_text.clone(),
        sealed_device: device.map(|device| keyring.seal_device(context.key, nonce, device)),
        ..Verification::new(params, sealed)
    };
    let has_reference = policy.text_reference
        && message::has_room_for_reference(policy, &verification, &code, country, now);
    verification.text_reference = has_reference.then(|| new_reference(recipient));
    let tag = DeliveryTag(random_bytes());
    verification.add_delivery(request.channel, Cause::Requested, tag, now);
    verification
}

/// The subject of the request. If the recipient belongs to another subject, the verification is
/// marked; its message is sent all the same, so that a send does not reveal it.
fn subject(
    context: &SendContext<'_>,
    request: &SendRequest,
    recipient: &Recipient,
    nonce: VerificationNonce,
) -> Option<VerificationSubject> {
    let id = request.subject.clone()?;
    let keyring = &context.sending.keyring;
    let key = keyring.subject_key(context.app, &id);
    let is_unique = context.policy.unique_recipients;
    Some(VerificationSubject {
        key,
        sealed_id: keyring.seal(SealedFor::Subject(context.key, nonce), id.reveal()),
        sealed_for: nonce,
        id: Some(id),
        is_unique,
        is_taken: is_unique && recipient.owner().is_some_and(|owner| owner != key),
    })
}

/// A code that replaces the one of `verification`.
pub(super) fn fresh_code(
    context: &SendContext<'_>,
    recipient: &Recipient,
    verification: &Verification,
) -> SealedCode {
    let (keyring, policy) = (&context.sending.keyring, context.policy);
    let code = keyring.open_code(context.key, verification);
    let length = code.and_then(|code| u8::try_from(code.reveal().len()).ok());
    let length = recipient.code_length(length.unwrap_or(policy.code_length));
    let code = Code::generate(policy.code_alphabet, length, &mut entropy());
    keyring.seal_code(context.key, &verification.params, &code)
}

/// A text reference that differs from that of the recipient's previous code.
pub(super) fn new_reference(recipient: &Recipient) -> TextReference {
    let mut shown = recipient.verifications().map(|v| v.text_reference());
    TextReference::generate(shown.find_map(|reference| reference), &mut entropy())
}

/// A random nonce that no remembered verification of `recipient` has.
fn unused_nonce(recipient: &Recipient) -> VerificationNonce {
    loop {
        let nonce = VerificationNonce(random_bytes());
        if !recipient.has_nonce(nonce) {
            return nonce;
        }
    }
}
