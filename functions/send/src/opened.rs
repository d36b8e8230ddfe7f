//! What a send makes of what is wanted: a verification with a code, and a fresh code where a resend replaces it. The code comes from the
//! operating system's generator and leaves here sealed.

use otp::domain::code::Code as OneTimeCode;
use otp::domain::delivery::Cause;
use otp::domain::recipient::{FreshCode, Recipient};
use otp::domain::time::Timestamp;
use otp::domain::verification::{ClaimId, KeyHash, Nonce, Step, Verification, VerificationParams};
use otp::message;
use otp::platform::random::{entropy, random_bytes};

use crate::Call;
use crate::wanted::Wanted;

/// The verification, and its first message.
pub(crate) fn verification(
    call: &Call<'_>,
    wanted: &Wanted,
    recipient: &Recipient,
    nonce: Nonce,
    idempotency: Option<(KeyHash, KeyHash)>,
) -> Verification {
    let Call {
        app,
        policy,
        key,
        now,
        ..
    } = *call;
    let length = recipient.code_length(wanted.code_length.unwrap_or(policy.code_length));
    let code = OneTimeCode::generate(policy.code_alphabet, length, &mut entropy());
    let locale = message::negotiate(
        wanted.locale.as_deref(),
        wanted.to.country(),
        &policy.locale,
    );
    let params = VerificationParams {
        nonce,
        channel: wanted.channel,
        fallback: wanted.fallback.clone(),
        locale: locale.tag().to_owned(),
        purpose: wanted.purpose.clone(),
        transaction: wanted.transaction.clone(),
        reference: wanted.reference.clone(),
        idempotency,
        created_at: now,
        expires_at: now + wanted.ttl_seconds.unwrap_or(policy.code_ttl_seconds),
        attempts_max: recipient.attempts_allowed(policy, now),
    };
    let sealed_code = app.store.seal_code(&key, &nonce, &code);
    let expected = app.seal.attempt_hash(
        &nonce,
        &params.purpose,
        params.transaction.as_ref(),
        code.reveal(),
    );
    let step = Step {
        sequence: 1,
        due: now,
        held_until: Timestamp(0),
        holder: ClaimId::default(),
        rounds: 0,
    };
    let mut verification = Verification {
        params,
        attempts: vec![],
        attempts_settled: 0,
        attempts_forgiven: 0,
        is_openable: true,
        sealed_code,
        expected,
        canceled_at: None,
        deliveries: vec![],
        fallbacks_used: 0,
        step,
    };
    verification.add_delivery(wanted.channel, Cause::Asked, random_bytes(), now);
    verification
}

/// A code in the place of the one that `verification` has.
pub(crate) fn fresh_code(
    call: &Call<'_>,
    recipient: &Recipient,
    verification: &Verification,
) -> FreshCode {
    let Call {
        app, policy, key, ..
    } = *call;
    let params = &verification.params;
    let code = app.store.open_code(&key, verification);
    let length = code.map_or(policy.code_length, |code| {
        u8::try_from(code.reveal().len()).unwrap_or(u8::MAX)
    });
    let code = OneTimeCode::generate(
        policy.code_alphabet,
        recipient.code_length(length),
        &mut entropy(),
    );
    let sealed_code = app.store.seal_code(&key, &params.nonce, &code);
    let expected = app.seal.attempt_hash(
        &params.nonce,
        &params.purpose,
        params.transaction.as_ref(),
        code.reveal(),
    );
    FreshCode {
        sealed_code,
        expected,
    }
}
