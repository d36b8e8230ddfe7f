//! A cancel by the app, and a report by a carrier.

use otp::domain::delivery::{DeliveryStatus, EarlyReport};
use otp::domain::ids::{DeliveryTag, VerificationNonce};
use otp::domain::recipient::{RaiseOutcome, Recipient};
use otp::domain::verification_status::Status;

use super::broken::Broken;
use super::table::{Item, Shared, Wire, WriteId};
use super::world::{CARRIERS, Scenario, Steps, World};

/// A cancel of the verification that is the current one when it is requested. As
/// `service::cancel` and `Store::modify`.
#[derive(Clone, Hash)]
pub enum Cancel {
    Idle,
    Looking {
        target: VerificationNonce,
        tries: u8,
    },
    Saving {
        target: VerificationNonce,
        tries: u8,
        before: Shared<Item>,
    },
    Answered {
        target: VerificationNonce,
        status: u16,
    },
}

impl Cancel {
    pub fn steps(scenario: &Scenario, world: &World, number: u8, steps: &mut Steps) {
        let mut go = |what, cancel: Self, mut next: World| {
            next.cancels[usize::from(number)] = cancel;
            steps.push(((("cancel", number), what), next));
        };
        match &world.cancels[usize::from(number)] {
            Self::Idle => {
                let recipient = world.table.recipient();
                let current = recipient.and_then(|recipient| recipient.current.as_ref());
                if let Some(current) = current
                    && world.is_acknowledged(current.params.nonce)
                {
                    let cancel = Self::look_up(world, current.params.nonce, 1);
                    go("decides", cancel, world.clone());
                }
            }
            Self::Looking { target, tries } => {
                let cancel = Self::look_up(world, *target, *tries);
                go("decides again", cancel, world.clone());
            }
            Self::Saving {
                target,
                tries,
                before,
            } => {
                for (wire, next) in world.writes() {
                    let (cancel, next) =
                        Self::save(scenario, (*target, *tries), before, wire, next);
                    go("saves", cancel, next);
                }
            }
            Self::Answered { .. } => {}
        }
    }

    fn save(
        scenario: &Scenario,
        (target, tries): (VerificationNonce, u8),
        before: &Shared<Item>,
        wire: Wire,
        mut next: World,
    ) -> (Self, World) {
        let mut recipient = before.get().recipient.clone();
        recipient.cancel(next.now);
        let id: WriteId = 500 + u16::from(tries);
        let mut is_saved = false;
        if wire.is_carried_out() {
            if scenario.is_broken(Broken::CancelWithoutVersion) {
                next.table.write(recipient.clone(), id);
            }
            let allowed = [Some(before.get().version)];
            is_saved = next.table.put(&recipient, id, &allowed);
        }
        let answered = |status| Self::Answered { target, status };
        let cancel = match wire {
            Wire::Answered if is_saved => answered(200),
            Wire::Answered if tries < 4 => Self::Looking {
                target,
                tries: tries + 1,
            },
            Wire::Repeated => Self::Saving {
                target,
                tries,
                before: before.clone(),
            },
            _ => answered(503),
        };
        (cancel, next)
    }

    fn look_up(world: &World, target: VerificationNonce, tries: u8) -> Self {
        let before = world.table.read().cloned();
        let is_pending = |item: &Shared<Item>| is_pending(&item.get().recipient, target, world);
        match before.filter(is_pending) {
            Some(before) => Self::Saving {
                target,
                tries,
                before,
            },
            None => Self::Answered {
                target,
                status: 409,
            },
        }
    }
}

/// Whether the verification of `nonce` is pending in `recipient`.
fn is_pending(recipient: &Recipient, nonce: VerificationNonce, world: &World) -> bool {
    let current = recipient
        .current
        .as_ref()
        .filter(|current| current.params.nonce == nonce);
    current.is_some_and(|current| current.status(world.now) == Status::Pending)
}

/// A report about one message: of a carrier that was called for it, or, where no worker runs, about
/// any message.
#[derive(Clone, Hash)]
pub enum Report {
    Idle,
    /// The carrier sends it again after an error.
    Repeating(Reported),
    Done,
}

/// A message, the carrier that reports, and the status.
type Reported = (DeliveryTag, u8, DeliveryStatus);

impl Report {
    pub fn steps(scenario: &Scenario, world: &World, number: u8, steps: &mut Steps) {
        let mut go = |what, report: Self, next: World| {
            let mut next = next;
            next.reports[usize::from(number)] = report;
            steps.push(((("report", number), what), next));
        };
        match &world.reports[usize::from(number)] {
            Self::Idle => {
                for (tag, carrier) in reporters(scenario, world) {
                    for status in [DeliveryStatus::Delivered, DeliveryStatus::Undelivered] {
                        for (wire, next) in world.writes() {
                            let (report, next) =
                                arrive(scenario, (tag, carrier, status), wire, next);
                            go("arrives", report, next);
                        }
                    }
                }
            }
            Self::Repeating(reported) => {
                for (wire, next) in world.writes() {
                    let (report, next) = arrive(scenario, *reported, wire, next);
                    go("arrives again", report, next);
                }
            }
            Self::Done => {}
        }
    }
}

/// Messages and carriers that may report.
fn reporters(scenario: &Scenario, world: &World) -> Vec<(DeliveryTag, u8)> {
    if scenario.workers > 0 {
        return world.history.called.clone();
    }
    let recipient = world.recipient();
    let latest = recipient
        .current
        .as_ref()
        .and_then(|current| current.deliveries.last());
    latest.map(|latest| (latest.tag, 0)).into_iter().collect()
}

fn arrive(scenario: &Scenario, reported: Reported, wire: Wire, mut next: World) -> (Report, World) {
    if wire.is_carried_out() {
        next.history.reported.push(reported);
        apply(scenario, &mut next, reported);
    }
    let report = match wire {
        Wire::Answered => Report::Done,
        _ => Report::Repeating(reported),
    };
    (report, next)
}

/// `Store::apply_report`: the status moves up, or an early report is kept.
fn apply(scenario: &Scenario, next: &mut World, (tag, carrier, status): Reported) {
    let (name, now) = (CARRIERS[usize::from(carrier)], next.now);
    let rule = |recipient: &mut Recipient| match scenario.is_broken(Broken::ReportOfAnyCarrier) {
        true => recipient.raise_delivery(tag, status.into(), None, now),
        false => recipient.apply_report(tag, status.into(), name, now),
    };
    let would_raise = |recipient: &Recipient| rule(&mut recipient.clone()) == RaiseOutcome::Raised;
    let raised = next.table.update(600, would_raise, |recipient| {
        rule(recipient);
    });
    if !raised.is_written {
        keep_early_report(next, tag, name, status);
    }
}

fn keep_early_report(next: &mut World, tag: DeliveryTag, name: &str, status: DeliveryStatus) {
    let is_open = |recipient: &Recipient| {
        let mut deliveries = recipient
            .current
            .iter()
            .flat_map(|current| &current.deliveries);
        deliveries.any(|delivery| {
            delivery.tag == tag
                && delivery.carrier.is_none()
                && delivery.status.may_become(DeliveryStatus::Unknown)
                && delivery.early_report.as_ref().is_none_or(|early| {
                    early.carrier != name || early.reported.status.may_become(status)
                })
        })
    };
    next.table.update(601, is_open, |recipient| {
        let deliveries = recipient
            .current
            .iter_mut()
            .flat_map(|current| &mut current.deliveries);
        for delivery in deliveries.filter(|delivery| delivery.tag == tag) {
            delivery.early_report = Some(EarlyReport {
                carrier: name.to_owned(),
                reported: status.into(),
            });
        }
    });
}
