//! Delivery plan: the next step with the deliveries of a verification, and when it is due.
//!
//! Invariant: nothing here can approve, extend or reset a verification.

use crate::domain::channel::Channel;
use crate::domain::delivery::{Cause, Delivery, DeliveryStatus, HANDOVER_MARGIN_SECONDS};
use crate::domain::time::Timestamp;

/// When the status API of a carrier is polled, after it accepted a message. Both times are before
/// a fallback channel is due by default, because most codes are entered by then.
const POLL_AFTER_SECONDS: [i64; 2] = [20, 50];
/// Longest wait between two retry rounds.
const BACKOFF_SECONDS_MAX: i64 = 30;

/// What a worker that has claimed a step does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NextStep {
    /// Hand the latest delivery to a carrier.
    HandOver,
    /// Add a delivery and hand it over.
    AddDelivery {
        /// How it is sent.
        channel: Channel,
        /// Why it is sent.
        cause: Cause,
        /// The carrier that may have the message already.
        except: Option<String>,
    },
    /// Do nothing before this moment.
    WaitUntil(Timestamp),
    /// Nothing is left to do.
    Done,
}

/// How long to wait for a report before the next step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReportWaits {
    /// `OTP_UNKNOWN_WAIT_SECONDS`.
    pub unknown_seconds: i64,
    /// `OTP_FALLBACK_SECONDS`.
    pub fallback_seconds: i64,
}

/// The next step after `deliveries`, oldest first, with `fallback` channels left.
/// `has_second_carrier`: another carrier than the latest delivery's serves its channel.
#[must_use]
pub fn next_step(
    deliveries: &[Delivery],
    has_second_carrier: bool,
    fallback: &[Channel],
    waits: ReportWaits,
    now: Timestamp,
) -> NextStep {
    let Some(latest) = deliveries.last() else {
        return NextStep::Done;
    };
    let is_delivered = deliveries
        .iter()
        .any(|d| d.status == DeliveryStatus::Delivered);
    let fall_back = |at: Timestamp| match fallback.first() {
        Some(channel) if now >= at => NextStep::AddDelivery {
            channel: *channel,
            cause: Cause::Fallback,
            except: None,
        },
        Some(_) => NextStep::WaitUntil(at),
        None => NextStep::Done,
    };
    match latest.status {
        DeliveryStatus::Queued | DeliveryStatus::Sending => NextStep::HandOver,
        _ if is_delivered => NextStep::Done,
        DeliveryStatus::Unknown if latest.cause != Cause::SecondCarrier && has_second_carrier => {
            let at = latest.updated_at + waits.unknown_seconds;
            if now < at {
                return NextStep::WaitUntil(at);
            }
            second_carrier(latest)
        }
        DeliveryStatus::Unknown | DeliveryStatus::Sent => {
            fall_back(latest.updated_at + waits.fallback_seconds)
        }
        DeliveryStatus::Undelivered
        | DeliveryStatus::Rejected
        | DeliveryStatus::Expired
        | DeliveryStatus::Failed => {
            let is_first_carrier = latest.cause != Cause::SecondCarrier;
            if latest.is_account_fault && is_first_carrier && has_second_carrier {
                return second_carrier(latest);
            }
            fall_back(now)
        }
        DeliveryStatus::Delivered => NextStep::Done,
    }
}

/// The message of `latest` once more, through another carrier.
fn second_carrier(latest: &Delivery) -> NextStep {
    NextStep::AddDelivery {
        channel: latest.channel,
        cause: Cause::SecondCarrier,
        except: latest.carrier.clone(),
    }
}

/// The next moment after `now` at which the status of `latest` is polled; `None` if its carrier
/// reports by itself, its status is final, or the code has expired by then.
#[must_use]
pub fn next_poll(latest: &Delivery, expires_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let is_pollable = latest.status == DeliveryStatus::Sent && latest.vendor_id.is_some();
    let moments = POLL_AFTER_SECONDS
        .into_iter()
        .map(|seconds| latest.updated_at + seconds);
    moments
        .filter(|at| is_pollable && *at < expires_at)
        .find(|at| *at > now)
}

/// Whether a step planned for `due` is a poll of the status of `latest`.
#[must_use]
pub fn is_poll(latest: &Delivery, expires_at: Timestamp, due: Timestamp) -> bool {
    next_poll(latest, expires_at, due - 1) == Some(due)
}

/// When to start the next retry round after `retry_rounds` rounds in which no carrier accepted the
/// message: 2, 4, 8, … at most 30 s later, or `retry_after_seconds` if that is later; the last one
/// is just before the handover margin. `None` after that.
#[must_use]
pub fn retry_at(
    retry_rounds: u8,
    retry_after_seconds: i64,
    expires_at: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    let backoff = (1i64 << retry_rounds.clamp(1, 5)).min(BACKOFF_SECONDS_MAX);
    let last = expires_at - HANDOVER_MARGIN_SECONDS;
    (now < last).then(|| (now + backoff.max(retry_after_seconds)).min(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::DeliveryTag;

    const WAITS: ReportWaits = ReportWaits {
        unknown_seconds: 15,
        fallback_seconds: 60,
    };
    const VOICE: NextStep = NextStep::AddDelivery {
        channel: Channel::Voice,
        cause: Cause::Fallback,
        except: None,
    };

    fn delivery(status: DeliveryStatus, cause: Cause) -> Delivery {
        Delivery {
            tag: DeliveryTag([0; 4]),
            number: 1,
            channel: Channel::Sms,
            status,
            carrier: Some("a".into()),
            cause,
            updated_at: Timestamp(100),
            parts: Some(1),
            vendor_id: None,
            early_report: None,
            is_account_fault: false,
        }
    }

    fn requested(status: DeliveryStatus) -> Delivery {
        delivery(status, Cause::Requested)
    }

    fn step(deliveries: &[Delivery], fallback: &[Channel], now: i64) -> NextStep {
        next_step(deliveries, true, fallback, WAITS, Timestamp(now))
    }

    #[test]
    fn unknown_outcome_waits_then_uses_one_other_carrier() {
        let unknown = requested(DeliveryStatus::Unknown);
        let one = std::slice::from_ref(&unknown);
        assert_eq!(step(one, &[], 114), NextStep::WaitUntil(Timestamp(115)));
        let second = NextStep::AddDelivery {
            channel: Channel::Sms,
            cause: Cause::SecondCarrier,
            except: Some("a".into()),
        };
        assert_eq!(step(one, &[], 115), second);
        let twice = [
            unknown.clone(),
            delivery(DeliveryStatus::Unknown, Cause::SecondCarrier),
        ];
        assert_eq!(
            step(&twice, &[], 1000),
            NextStep::Done,
            "never a third carrier"
        );
        let alone = next_step(one, false, &[Channel::Voice], WAITS, Timestamp(115));
        assert_eq!(
            alone,
            NextStep::WaitUntil(Timestamp(160)),
            "falls back without a second one"
        );
    }

    #[test]
    fn report_within_the_wait_prevents_the_second_carrier() {
        assert_eq!(
            step(&[requested(DeliveryStatus::Sent)], &[], 115),
            NextStep::Done
        );
        let delivered = [requested(DeliveryStatus::Delivered)];
        assert_eq!(step(&delivered, &[Channel::Voice], 900), NextStep::Done);
    }

    #[test]
    fn fallback_follows_a_failure_or_a_silent_wait() {
        let fallback = [Channel::Voice];
        assert_eq!(
            step(&[requested(DeliveryStatus::Rejected)], &fallback, 100),
            VOICE
        );
        let sent = [requested(DeliveryStatus::Sent)];
        assert_eq!(
            step(&sent, &fallback, 159),
            NextStep::WaitUntil(Timestamp(160))
        );
        assert_eq!(step(&sent, &fallback, 160), VOICE);
        let one_delivered = [
            requested(DeliveryStatus::Delivered),
            delivery(DeliveryStatus::Undelivered, Cause::SecondCarrier),
        ];
        assert_eq!(step(&one_delivered, &fallback, 900), NextStep::Done);
    }

    #[test]
    fn account_fault_is_followed_by_one_other_carrier() {
        let failed = |cause| Delivery {
            is_account_fault: true,
            ..delivery(DeliveryStatus::Rejected, cause)
        };
        let one = [failed(Cause::Requested)];
        let second = NextStep::AddDelivery {
            channel: Channel::Sms,
            cause: Cause::SecondCarrier,
            except: Some("a".into()),
        };
        assert_eq!(step(&one, &[Channel::Voice], 100), second);
        let alone = next_step(&one, false, &[Channel::Voice], WAITS, Timestamp(100));
        assert_eq!(alone, VOICE, "no other carrier");
        let twice = [one[0].clone(), failed(Cause::SecondCarrier)];
        assert_eq!(step(&twice, &[Channel::Voice], 100), VOICE);
        assert_eq!(step(&twice, &[], 100), NextStep::Done, "once");
        let delivered = [requested(DeliveryStatus::Delivered), one[0].clone()];
        assert_eq!(step(&delivered, &[], 100), NextStep::Done);
    }

    #[test]
    fn status_is_polled_twice_before_the_code_expires() {
        let sent = Delivery {
            vendor_id: Some("307".into()),
            ..requested(DeliveryStatus::Sent)
        };
        let at = |latest: &Delivery, expires_at, now| {
            next_poll(latest, Timestamp(expires_at), Timestamp(now)).map(|at| at.0)
        };
        assert_eq!(
            [100, 119, 120, 149, 150].map(|now| at(&sent, 400, now)),
            [Some(120), Some(120), Some(150), Some(150), None]
        );
        assert_eq!(at(&sent, 150, 100), Some(120));
        assert_eq!(at(&sent, 150, 120), None, "expired by then");
        assert_eq!(at(&sent, 120, 100), None, "expired by then");
        assert_eq!(
            at(&requested(DeliveryStatus::Sent), 400, 100),
            None,
            "reports by itself"
        );
        let delivered = Delivery {
            status: DeliveryStatus::Delivered,
            ..sent.clone()
        };
        assert_eq!(at(&delivered, 400, 100), None, "final");
        let is = |due| is_poll(&sent, Timestamp(400), Timestamp(due));
        assert_eq!(
            [100, 119, 120, 121, 150, 160].map(is),
            [false, false, true, false, true, false]
        );
    }

    #[test]
    fn retry_rounds_back_off_until_the_margin() {
        let at = |rounds, after| {
            retry_at(rounds, after, Timestamp(400), Timestamp(100))
                .map(|t| t.seconds_since(Timestamp(100)))
        };
        let seconds: Vec<_> = (1..=6).map(|rounds| at(rounds, 0)).collect();
        assert_eq!(seconds, [2, 4, 8, 16, 30, 30].map(Some));
        assert!((5..=u8::MAX).all(|rounds| at(rounds, 0) == Some(30)));
        assert_eq!(at(1, 77), Some(77), "Retry-After is honoured");
        assert_eq!(at(1, 291), Some(290), "within the validity of the code");
        assert_eq!(
            retry_at(1, 0, Timestamp(111), Timestamp(100)),
            Some(Timestamp(101))
        );
        assert_eq!(retry_at(1, 0, Timestamp(110), Timestamp(100)), None);
    }
}
