//! The limits beyond a recipient's own: country, client network, prefix, money of the day. A send that is refused, by one
//! of them or because nobody can be asked to deliver it, leaves nothing behind in any.

use std::net::IpAddr;
use std::time::Duration;

use otp::address::Address;
use otp::delivery::Channel;
use otp::queue::Dispatch;
use otp::recipient::{Found, Limited, Recipient};
use otp::seal::RecipientKey;
use otp::store::{Begin, Change, Counter, NEVER, Take, Taken};
use otp::timestamp::Timestamp;
use otp::traffic::Sample;
use otp::verification::{Nonce, Status, Step, Verification};

use crate::{App, Handover, SendError, Sent};

/// How long a call may be under way: as long as the function may run.
const UNDER_WAY_SECONDS: i64 = 10;
/// What its repetition waits for it: many times what the limits take.
pub(crate) const UNDER_WAY_WAIT: Duration = Duration::from_millis(500);

/// The counters that a message of `verification` to `to` must pass. It is charged at the price of the first carrier that fits.
pub(crate) fn counters(
    app: &App,
    caller: &str,
    client: Option<IpAddr>,
    (to, channel): (&Address, Channel),
    (recipient, nonce): (RecipientKey, &Nonce),
    now: Timestamp,
) -> Vec<Counter> {
    let carrier = app.carriers.iter().find(|carrier| carrier.serves(channel, to));
    let price = carrier.map(|carrier| carrier.price_to(to)).unwrap_or_default();
    let sample = Sample { recipient, verification: [nonce[0], nonce[1], nonce[2], nonce[3]], at: now };
    app.store.counters(caller, app.apps.policy(caller), client, to, price, sample)
}

/// Counts a send in all of `counters`, or in none.
pub(crate) async fn take(app: &App, caller: &str, counters: &[Counter], now: Timestamp) -> Result<Vec<Taken>, SendError> {
    let mut taken = vec![];
    for (at, counter) in counters.iter().enumerate() {
        let refusal = match app.store.take(*counter, now).await {
            Ok(Take::Taken(this)) => {
                taken.push(this);
                continue;
            }
            Ok(Take::Refused(until)) => {
                let refusal = SendError::limited(app.apps.policy(caller), Limited { limit: counter.limit, until }, now);
                last_to_end(app, &counters[at + 1..], refusal, now).await
            }
            Err(error) => SendError::Store(error),
        };
        give_back(app, &taken, now).await;
        return Err(refusal);
    }
    Ok(taken)
}

/// Uncounts a send.
pub(crate) async fn give_back(app: &App, taken: &[Taken], now: Timestamp) {
    for taken in taken {
        if let Err(error) = app.store.give_back(taken, now).await {
            tracing::error!(error.kind = "not_given_back", error.cause = error.0, "a send that does not go out stays counted");
        }
    }
}

/// A refusal, by a limit of which others of `counters` may end later: then by the one that ends last.
pub(crate) async fn last_to_end(app: &App, counters: &[Counter], refusal: SendError, now: Timestamp) -> SendError {
    let SendError::Limited(policy, limited, now_then) = refusal else { return refusal };
    let others = app.store.counters_full(counters, now).await.unwrap_or_else(|error| {
        tracing::warn!(error.kind = "counters_unread", error.cause = error.0, "a refusal may not name the limit that ends last");
        vec![]
    });
    SendError::Limited(policy, limited.or_later(others), now_then)
}

/// Whether the call that made this verification may still be passing its limits: it is not repeated before it is known
/// whether it stands.
pub(crate) fn is_under_way(found: &Found<'_>, now: Timestamp) -> bool {
    matches!(found, Found::Now(v) if v.is_untouched() && v.step.sequence == 1 && now.since(v.terms.created_at) <= UNDER_WAY_SECONDS)
}

/// Undoes a send that goes nowhere, unless somebody has built on it: a repeated call that was answered,
/// or a worker that got the dispatch although its sender was not told so. A step that stood before it is asked for again: a
/// worker that came meanwhile found it replaced and went away.
pub(crate) async fn take_back(app: &App, caller: &str, key: &RecipientKey, step: Step, sent: Sent, now: Timestamp) {
    let Some((_, nonce)) = app.seal.open_verification_id(caller, &sent.id) else { return };
    let rule = |recipient: &mut Recipient| {
        // A report of an earlier message may have made the next step due: that builds on nothing.
        let is_ours = |v: &Verification| v.terms.nonce == nonce && Step { due: step.due, ..v.step } == step;
        let is_ours = recipient.verification.as_ref().is_some_and(is_ours);
        if is_ours {
            recipient.take_back(&sent.before);
        }
        let restored = recipient.verification.as_ref().filter(|v| v.status(now) == Status::Pending && v.step.due != NEVER);
        let restored = restored.map(|v| (v.terms.nonce, v.step));
        Ok::<_, std::convert::Infallible>(if is_ours { Change::Write(restored) } else { Change::Keep(None) })
    };
    match (app.store.change(key, caller, Begin::Read, now, rule).await, &app.handover) {
        (Ok(Ok(Some((nonce, step)))), Handover::Queue(queue)) => {
            let dispatch = Dispatch::new(caller, app.seal.verification_id(caller, key, &nonce), step.sequence);
            if let Err(error) = queue.enqueue(&dispatch, step.due.since(now)).await {
                tracing::error!(error.kind = "not_dispatched", error.cause = error.0, "a message may wait for a repeated call");
            }
        }
        (Ok(Ok(_)), _) => {}
        (Err(error), _) => {
            tracing::error!(error.kind = "not_taken_back", error.cause = error.0, "a send that does not go out stays counted");
        }
    }
}
