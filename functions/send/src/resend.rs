//! A further message of a pending verification. It passes the limits before it is written, for all can see that verification.

use otp::domain::recipient::{Recipient, makes_fresh_code};
use otp::domain::time::Timestamp;
use otp::domain::verification::{Nonce, Status};
use otp::domain::verification_ref::VerificationRef;
use otp::platform::random::random_bytes;
use otp::store::{Begin, Change, Counter};

use crate::limits::{self, Limits};
use crate::wanted::{self, WantedResend};
use crate::{App, Call, SendError, Sent, opened, pass_and_ask, unsettled};

/// One read, and one write once all limits are passed; then the message is asked for.
pub(crate) async fn resend(
    app: &App,
    caller: &str,
    id: &str,
    wanted: WantedResend,
    now: Timestamp,
) -> Result<Sent, SendError> {
    let (key, nonce) = app
        .seal
        .open_verification_id(caller, id)
        .ok_or(SendError::NotFound)?;
    let _turn = app.turns.take(&key).await;
    let call = Call {
        app,
        caller,
        policy: app.apps.policy(caller),
        key,
        now,
    };
    let mut limits = Limits {
        call,
        counters: vec![],
        taken: None,
        is_contested: false,
    };
    // Which limits it has to pass comes out with what it makes, and with what refuses it.
    let mut rule = |recipient: &mut Recipient| {
        let (before, mut counters) = (recipient.clone(), vec![]);
        let added = add_message(&call, &nonce, &wanted, recipient, &mut counters)
            .and_then(|()| call.written(recipient, Some(before)));
        match added {
            Ok(written) => Ok(Change::WriteAfter((written, counters))),
            Err(refusal) => Err(Box::new((refusal, counters))),
        }
    };
    let pass_first = async |(written, counters)| {
        limits
            .pass_these(counters)
            .await
            .map(|()| (written, vec![]))
            .map_err(alone)
    };
    let mut resent = app
        .store
        .change_after(&key, caller, Begin::Read, now, &mut rule, pass_first)
        .await;
    if limits.is_contested {
        tokio::time::sleep(unsettled::UNDER_WAY_WAIT).await;
        let pass_first = async |(written, counters)| {
            limits
                .pass_these(counters)
                .await
                .map(|()| (written, vec![]))
                .map_err(alone)
        };
        resent = app
            .store
            .change_after(&key, caller, Begin::Read, now, &mut rule, pass_first)
            .await;
    }
    match resent {
        Ok(Ok((written, _))) => pass_and_ask(&mut limits, written).await,
        Ok(Err(refused)) => {
            let (refusal, counters) = *refused;
            if !counters.is_empty() {
                limits.counters = counters;
            }
            Err(limits.refuse(refusal).await)
        }
        Err(error) => Err(limits.refuse(SendError::Store(error)).await),
    }
}

/// A refusal by limits that are known already.
fn alone(refusal: SendError) -> Box<(SendError, Vec<Counter>)> {
    Box::new((refusal, vec![]))
}

/// Adds a message to the verification called `nonce`, if that is pending and its recipient's own limits allow it.
fn add_message(
    call: &Call<'_>,
    nonce: &Nonce,
    wanted: &WantedResend,
    recipient: &mut Recipient,
    counters: &mut Vec<Counter>,
) -> Result<(), SendError> {
    let Call {
        app, policy, now, ..
    } = *call;
    let verification = match recipient.find(nonce, now) {
        Some(VerificationRef::Current(verification))
            if verification.status(now) == Status::Pending =>
        {
            verification
        }
        Some(_) => return Err(SendError::NotPending),
        None => return Err(SendError::NotFound),
    };
    if !verification.params.has_time_for_a_send(now) {
        return Err(SendError::TooLate);
    }
    let channel = wanted.channel.unwrap_or(verification.params.channel);
    let to = recipient.address.as_ref().ok_or(SendError::NotPending)?;
    wanted::check_channel(app, channel, to, "channel")
        .and_then(|()| wanted::check_line(channel, to))
        .map_err(SendError::NotServed)?;
    *counters = limits::counters(call, wanted.client_ip, to, channel, nonce);
    let fresh = makes_fresh_code(policy).then(|| opened::fresh_code(call, recipient, verification));
    recipient
        .check_limits(policy, now)
        .map_err(|limited| SendError::limited(policy, limited, now))?;
    recipient.resend(channel, random_bytes(), fresh, now);
    Ok(())
}
