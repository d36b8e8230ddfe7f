//! The invariants that must hold in every state, and the history that they are compared with.

use std::collections::BTreeSet;

use otp::domain::delivery::{Cause, Delivery, DeliveryStatus};
use otp::domain::delivery_plan::NextStep;
use otp::domain::ids::{AttemptNonce, DeliveryTag, VerificationNonce};
use otp::domain::recipient::Recipient;
use otp::domain::time::Timestamp;
use otp::domain::verification::Verification;
use otp::domain::verification_ref::VerificationRef;
use otp::domain::verification_status::Status;

use super::cancel_and_report::Cancel;
use super::check::{Answer, Check, Submitted};
use super::send::{Answer as SendAnswer, Send};
use super::worker::{index_of, next_step};
use super::world::{Dispatch, Scenario, World};

/// Texts for one requested message that may have reached the person.
const TEXTS_MAX: usize = 2;

/// What happened, as far as an invariant needs it.
#[derive(Clone, Hash, Default)]
pub struct History {
    /// Attempts in the order in which the table accepted them, each once.
    appended: Vec<Appended>,
    /// Handovers that may have reached the person: verification, and the number of the requested
    /// message.
    texts: Vec<([u8; 4], u16)>,
    /// Messages, and carriers that were called for them.
    pub called: Vec<(DeliveryTag, u8)>,
    /// Whether a fault left it open whether the person has a text.
    pub has_uncertain_call: bool,
    /// Whether a rollback failed, so that the earlier verification may be lost.
    pub has_failed_rollback: bool,
    /// The step of a retry round, and when that begins.
    pub backoff: Option<(Dispatch, Timestamp)>,
    has_early_call: bool,
    /// Whether a carrier was called for a verification that had ended when it was last to be read.
    pub has_blind_call: bool,
    /// Reports that arrived.
    pub reported: Vec<(DeliveryTag, u8, DeliveryStatus)>,
}

#[derive(Clone, Hash)]
struct Appended {
    target: VerificationNonce,
    nonce: AttemptNonce,
    is_right: bool,
}

impl History {
    pub fn append(&mut self, target: VerificationNonce, nonce: AttemptNonce, is_right: bool) {
        let is_known = |known: &Appended| known.target == target && known.nonce == nonce;
        if !self.appended.iter().any(is_known) {
            self.appended.push(Appended {
                target,
                nonce,
                is_right,
            });
        }
    }

    /// A carrier may have the latest message of `verification` now.
    pub fn call(&mut self, verification: &Verification, carrier: u8) {
        let Some(latest) = verification.deliveries.last() else {
            return;
        };
        let requested = verification.deliveries.iter().rev();
        let requested = requested.skip_while(|delivery| delivery.cause == Cause::SecondCarrier);
        let number = requested
            .map(|delivery| delivery.number)
            .next()
            .unwrap_or_default();
        self.texts.push((verification.params.nonce.0, number));
        self.texts.sort_unstable();
        self.note_reporter(latest.tag, carrier);
    }

    /// A carrier may report about a message, whether it accepted it or not.
    pub fn note_reporter(&mut self, tag: DeliveryTag, carrier: u8) {
        if !self.called.contains(&(tag, carrier)) {
            self.called.push((tag, carrier));
            self.called
                .sort_unstable_by_key(|(tag, carrier)| (tag.0, *carrier));
        }
    }

    /// Notes a call before the retry round begins.
    pub fn check_backoff(&mut self, dispatch: Dispatch, now: Timestamp) {
        let is_early =
            |(retry, at): (Dispatch, Timestamp)| now < at && retry.is_same_step(dispatch);
        self.has_early_call |= self.backoff.is_some_and(is_early);
    }

    /// Attempts at a verification.
    fn of(&self, target: VerificationNonce) -> impl Iterator<Item = &Appended> {
        self.appended
            .iter()
            .filter(move |appended| appended.target == target)
    }

    /// Wrong attempts that count: those before the success.
    fn wrong(&self, target: VerificationNonce) -> usize {
        self.of(target)
            .take_while(|appended| !appended.is_right)
            .count()
    }
}

/// The first invariant that the state violates.
pub fn violation(scenario: &Scenario, world: &World) -> Option<String> {
    let recipient = world.recipient();
    attempts(world, &recipient)
        .or_else(|| answers(world))
        .or_else(|| texts(world))
        .or_else(|| {
            (scenario.workers > 0)
                .then(|| reports(world, &recipient))
                .flatten()
        })
        .or_else(|| {
            let is_quiet = world.is_quiet() && world.queue.is_empty();
            (is_quiet && scenario.workers > 0)
                .then(|| deliveries(scenario, world, &recipient))
                .flatten()
        })
        .or_else(|| world.is_quiet().then(|| sends(world, &recipient)).flatten())
}

/// Attempts are exact, none is given back, and the guess budget is not exceeded.
fn attempts(world: &World, recipient: &Recipient) -> Option<String> {
    let targets: BTreeSet<_> = world.history.appended.iter().map(|a| a.target.0).collect();
    let mut wrong = 0;
    for target in targets.into_iter().map(VerificationNonce) {
        let written = world.history.of(target).count();
        wrong += world.history.wrong(target);
        let counted = match recipient.find(target, world.now) {
            None => return Some(format!("{target:?} has {written} attempts and is gone")),
            Some(VerificationRef::Current(current)) => current.attempts.len(),
            Some(VerificationRef::Past(past)) if past.status == Status::Approved => written,
            Some(VerificationRef::Past(past)) => usize::from(past.attempts_used),
        };
        if counted != written {
            return Some(format!(
                "{written} attempts at {target:?}, {counted} counted"
            ));
        }
    }
    let counted = recipient.wrong_attempts().len();
    if counted != wrong {
        return Some(format!("{wrong} wrong attempts, {counted} counted"));
    }
    let budget = usize::from(Scenario::policy().guess_budget);
    (wrong > budget).then(|| format!("{wrong} wrong attempts, the guess budget is {budget}"))
}

/// One approval at most, and only by the right code. What was not written is not answered.
fn answers(world: &World) -> Option<String> {
    let answered = world.checks.iter().filter_map(|check| match check {
        Check::Answered(submitted, answer) => Some((submitted, *answer)),
        _ => None,
    });
    let mut approved: Vec<&Submitted> = vec![];
    let mut left = vec![];
    for (submitted, answer) in answered {
        let Answer::Outcome { outcome, .. } = answer else {
            continue;
        };
        let is_own = |a: &&Appended| a.nonce == submitted.attempt.nonce;
        let appended = world.history.of(submitted.target).find(is_own);
        if outcome.reason.is_none() {
            let mut earlier = world.history.of(submitted.target);
            let first = earlier.find(|a| a.is_right).map(|a| a.nonce);
            if first != Some(submitted.attempt.nonce) {
                return Some("an attempt was approved that is not the first right one".to_owned());
            }
            approved.push(submitted);
        } else if outcome
            .reason
            .is_some_and(|reason| reason.name() == "wrong_code")
        {
            if appended.is_none() {
                return Some("an attempt was compared that was not written".to_owned());
            }
            left.push((
                submitted.target.0,
                outcome.attempts_left,
                submitted.attempt.nonce,
            ));
        }
    }
    let is_other =
        |a: &Submitted, b: &Submitted| a.target == b.target && a.attempt.nonce != b.attempt.nonce;
    if approved
        .iter()
        .any(|a| approved.iter().any(|b| is_other(a, b)))
    {
        return Some("two attempts were approved".to_owned());
    }
    let is_same = |a: &([u8; 4], u8, AttemptNonce), b: &([u8; 4], u8, AttemptNonce)| {
        a.0 == b.0 && a.1 == b.1 && a.2 != b.2
    };
    let is_repeated = left.iter().any(|a| left.iter().any(|b| is_same(a, b)));
    is_repeated.then(|| "two wrong attempts left the same number of attempts".to_owned())
}

/// Two texts at most for one requested message, and one if there was no fault.
fn texts(world: &World) -> Option<String> {
    let History {
        texts,
        has_uncertain_call,
        has_early_call,
        ..
    } = &world.history;
    let maximum = if *has_uncertain_call { TEXTS_MAX } else { 1 };
    let count = |text: &([u8; 4], u16)| texts.iter().filter(|other| *other == text).count();
    let most = texts.iter().map(count).max().unwrap_or_default();
    if most > maximum {
        return Some(format!(
            "{most} texts for one message, at most {maximum} are allowed"
        ));
    }
    if world.history.has_blind_call {
        return Some("a carrier was called for a verification that had ended".to_owned());
    }
    has_early_call.then(|| "a carrier was called before the retry round".to_owned())
}

/// What a message reached was reported by the carrier that has it.
fn reports(world: &World, recipient: &Recipient) -> Option<String> {
    let deliveries = recipient.verifications().flat_map(|v| v.deliveries());
    let mut reached = deliveries.filter(|delivery| {
        matches!(
            delivery.status,
            DeliveryStatus::Delivered | DeliveryStatus::Undelivered
        )
    });
    let is_reported = |delivery: &Delivery| {
        let carrier = delivery.carrier.as_deref().and_then(index_of);
        let report = carrier.map(|carrier| (delivery.tag, carrier, delivery.status));
        report.is_some_and(|report| world.history.reported.contains(&report))
    };
    let is_foreign = reached.any(|delivery| !is_reported(delivery));
    is_foreign.then(|| "a report counted of a carrier that does not have the message".to_owned())
}

/// Once nothing is in flight, no step is planned without a dispatch, and no acknowledged message of
/// a pending verification is without a text.
fn deliveries(scenario: &Scenario, world: &World, recipient: &Recipient) -> Option<String> {
    let current = recipient.current.as_ref();
    let current = current.filter(|current| current.is_deliverable(world.now));
    let current = current.filter(|current| world.is_acknowledged(current.params.nonce));
    let is_unsettled = current.is_some_and(|current| {
        let latest = current.deliveries.last().map(|latest| latest.status);
        let uncertain = current.step.uncertain_handovers;
        let next = next_step(scenario, &current.deliveries, uncertain, world.now);
        latest == Some(DeliveryStatus::Unknown) && !matches!(next, NextStep::Done)
    });
    if is_unsettled {
        return Some("a planned step has no dispatch".to_owned());
    }
    for (nonce, tag) in world.sends.iter().filter_map(Send::acknowledged) {
        let Some(VerificationRef::Current(current)) = recipient.find(nonce, world.now) else {
            continue;
        };
        let delivery = current
            .deliveries
            .iter()
            .find(|delivery| delivery.tag == tag)?;
        let is_open = matches!(
            delivery.status,
            DeliveryStatus::Queued | DeliveryStatus::Failed
        );
        let is_latest = current
            .deliveries
            .last()
            .is_some_and(|latest| latest.tag == tag);
        if is_open && is_latest && current.is_deliverable(world.now) {
            return Some(format!(
                "an acknowledged message stays {}",
                delivery.status.name()
            ));
        }
    }
    None
}

/// An acknowledged verification is current, or another send replaced it. One that was answered with
/// 503 is not the current one.
fn sends(world: &World, recipient: &Recipient) -> Option<String> {
    let current = recipient
        .current
        .as_ref()
        .map(|current| current.params.nonce);
    let may_replace = |send: &Send| match send {
        Send::Answered(SendAnswer {
            status: 201,
            is_new,
            ..
        }) => *is_new,
        Send::Crashed => true,
        _ => world.history.has_failed_rollback,
    };
    for (number, send) in world.sends.iter().enumerate() {
        let Some((nonce, _)) = send.acknowledged() else {
            continue;
        };
        let mut others = world
            .sends
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != number);
        if current != Some(nonce) && !others.any(|(_, other)| may_replace(other)) {
            return Some("an acknowledged send was undone by one that failed".to_owned());
        }
    }
    for (number, send) in (0..).zip(&world.sends) {
        let own = current.filter(|nonce| nonce.0[0] == number);
        let is_failed = matches!(send, Send::Answered(SendAnswer { status: 503, .. }));
        if is_failed
            && !world.history.has_failed_rollback
            && own.is_some_and(|own| !world.is_acknowledged(own))
        {
            return Some("a send that failed left its verification".to_owned());
        }
    }
    if !world.history.has_failed_rollback && has_message_of_no_send(world, recipient) {
        return Some("a message is stored that no send was answered with".to_owned());
    }
    let canceled = world.cancels.iter().find_map(|cancel| match cancel {
        Cancel::Answered {
            target,
            status: 200,
        } => Some(*target),
        _ => None,
    });
    let canceled = canceled.and_then(|target| recipient.find(target, world.now));
    let is_pending = canceled.is_some_and(|found| found.status(world.now) == Status::Pending);
    is_pending.then(|| "a canceled verification is pending".to_owned())
}

/// Whether the current verification has a requested message that is not that of a successful send.
fn has_message_of_no_send(world: &World, recipient: &Recipient) -> bool {
    let sent = |tag| {
        let acknowledged = world.sends.iter().filter_map(Send::acknowledged);
        acknowledged.into_iter().any(|(_, sent)| sent == tag)
    };
    let has_crash = world.sends.iter().any(|send| matches!(send, Send::Crashed));
    let current = recipient.current.iter();
    let mut deliveries = current.flat_map(|current| &current.deliveries);
    !has_crash && deliveries.any(|message| message.cause == Cause::Requested && !sent(message.tag))
}
