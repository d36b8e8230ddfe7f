//! Explores every interleaving of a few requests, workers and faults around one recipient. The
//! rules are those of the program: `Recipient`, `Verification`, `delivery_plan`, `Step`. The table
//! is a model of the conditional writes of the store; the order of reads, writes and calls is that
//! of the use cases.
//!
//! Each rule is also broken once: the exploration must find a violated invariant then.
//!
//! | file | what is in it |
//! |---|---|
//! | `explorer` | visits all states, shortest paths first |
//! | `table` | conditional writes, and what a fault does to them |
//! | `world` | the state, the scenario, and what may happen next |
//! | `broken` | rules that a scenario can break |
//! | `check`, `send`, `saving`, `cancel_and_report` | requests of the app, and reports |
//! | `worker`, `handover`, `ending`, `following` | a worker with one dispatch |
//! | `invariants` | what must hold in every state |
//! | `approval/` | the same for an approval for a subject, its owner and its decision |
//! | `subject/` | the same for the log of a subject: checks of factors, a removal, another write |

mod approval;
mod broken;
mod check;
mod ending;
mod explorer;
mod following;
mod handover;
mod invariants;
mod cancel_and_report;
mod saving;
mod send;
mod subject;
mod table;
mod worker;
mod world;

use broken::Broken;
use explorer::{assert_holds, assert_notices};
use world::Scenario;

/// Three checks, two sends or a send and a resend, a cancel and a report.
const ATTEMPTS: Scenario = Scenario {
    checks: 3,
    cancels: 1,
    reports: 1,
    ..Scenario::TWO_SENDS
};

const CHECKS_WITH_FAULTS: Scenario = Scenario {
    checks: 2,
    cancels: 1,
    faults: 1,
    ..Scenario::TWO_SENDS
};

const EXPIRY: Scenario = Scenario {
    has_expiry: true,
    ..Scenario {
        sends: 1,
        ..CHECKS_WITH_FAULTS
    }
};

/// Two sends that may both meet a failing queue.
const FAILING_QUEUE: Scenario = Scenario {
    faults: 2,
    ..Scenario::TWO_SENDS
};

/// Two sends and two workers; a call of a carrier fails or has no known outcome.
const DELIVERY: Scenario = Scenario {
    workers: 2,
    faults: 1,
    failed_calls: 1,
    ..Scenario::TWO_SENDS
};

const REPORTS: Scenario = Scenario {
    cancels: 1,
    reports: 1,
    workers: 2,
    ..Scenario::TWO_SENDS
};

const REPORTS_WITH_FAULTS: Scenario = Scenario {
    sends: 1,
    faults: 1,
    failed_calls: 1,
    ..REPORTS
};

/// One send. Workers crash or stand still past their hold, and dispatches come twice.
const CRASHES: Scenario = Scenario {
    sends: 1,
    crashes: 1,
    duplicates: 1,
    stalls: 1,
    ..DELIVERY
};

/// One send. A worker pauses past its hold, and two calls of carriers fail.
const TAKEOVERS: Scenario = Scenario {
    faults: 0,
    crashes: 0,
    failed_calls: 2,
    ..CRASHES
};

/// A send and its repetition, with one `Idempotency-Key`.
const REPETITION: Scenario = Scenario {
    is_repeated: true,
    workers: 2,
    faults: 1,
    crashes: 1,
    duplicates: 1,
    ..Scenario::TWO_SENDS
};

#[test]
fn attempts_are_exact_in_every_order() {
    assert_holds(&ATTEMPTS);
}

#[test]
fn attempts_are_exact_when_answers_are_lost() {
    assert_holds(&CHECKS_WITH_FAULTS);
}

#[test]
fn attempts_are_exact_around_the_expiry() {
    assert_holds(&EXPIRY);
}

#[test]
fn acknowledged_sends_are_delivered_when_answers_are_lost() {
    assert_holds(&DELIVERY);
}

#[test]
fn reports_and_cancels_hold_in_every_order() {
    assert_holds(&REPORTS);
}

#[test]
fn reports_and_cancels_hold_when_answers_are_lost() {
    assert_holds(&REPORTS_WITH_FAULTS);
}

#[test]
fn crashed_workers_send_two_texts_at_most() {
    assert_holds(&CRASHES);
}

#[test]
fn failed_sends_leave_nothing_in_every_order() {
    assert_holds(&FAILING_QUEUE);
}

#[test]
fn taken_over_steps_send_two_texts_at_most() {
    assert_holds(&TAKEOVERS);
}

#[test]
fn repetitions_lose_no_send_in_every_order() {
    assert_holds(&REPETITION);
}

#[test]
fn each_broken_rule_is_noticed() {
    for rule in broken::ALL {
        let scenario = scenario_for(rule);
        let broken = Some(rule);
        assert_notices(&Scenario { broken, ..scenario }, rule);
    }
}

/// A scenario that violates an invariant without `rule`.
fn scenario_for(rule: Broken) -> Scenario {
    match rule {
        Broken::AppendWithoutMaximum | Broken::NewVerificationIgnoresBudget => Scenario {
            checks: 3,
            ..Scenario::TWO_SENDS
        },
        Broken::AppendWithoutNonce
        | Broken::AppendAfterCancel
        | Broken::EveryMatchSucceeds
        | Broken::SaveWithoutVersion
        | Broken::CancelWithoutVersion
        | Broken::NewVerificationDropsFailures
        | Broken::ResendClearsAttempts
        | Broken::FreshCodeMeetsEarlierAttempts
        | Broken::OwnWriteIsConflict => CHECKS_WITH_FAULTS,
        Broken::AppendAfterExpiry | Broken::CompareWithoutWrite => EXPIRY,
        Broken::RestoreWithoutVersion
        | Broken::EnqueueBeforeSave
        | Broken::AnswerBeforeEnqueue
        | Broken::QueueErrorIsSuccess
        | Broken::RollBackOnce
        | Broken::HeldStepDropped => Scenario {
            crashes: 1,
            failed_calls: 0,
            ..DELIVERY
        },
        Broken::EndedStepNotEnqueued | Broken::FailAfterRollBack => DELIVERY,
        Broken::RollBackSendsOnly => CHECKS_WITH_FAULTS,
        Broken::RollBackWithoutWaiting => FAILING_QUEUE,
        Broken::RepeatWithoutWrite => REPETITION,
        Broken::ClaimHeldStep | Broken::HandoverNotCounted | Broken::SecondCarrierUncounted => {
            Scenario {
                stalls: 2,
                crashes: 2,
                ..CRASHES
            }
        }
        Broken::ClaimEarly
        | Broken::NextStepNotEnqueued
        | Broken::EndWithoutClaim
        | Broken::EarlierWorkerUncounted
        | Broken::FailAfterTakeover => TAKEOVERS,
        Broken::CallWithoutReading | Broken::ReportOfAnyCarrier => Scenario {
            faults: 0,
            ..REPORTS_WITH_FAULTS
        },
    }
}
