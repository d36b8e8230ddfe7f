//! A cancel, and a carrier's report.

use otp::domain::delivery::{DeliveryStatus, EarlyReport};
use otp::domain::ids::{DeliveryTag, VerificationNonce};
use otp::domain::recipient::{RaiseOutcome, Recipient};

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
                if let Some(current) = recipient.and_then(|recipient| recipient.current.as_ref()) {
                    let looking = Self::Looking {
                        target: current.params.nonce,
                        tries: 1,
                    };
                    go("is requested", looking, world.clone());
                }
            }
            Self::Looking { target, tries } => {
                let (target, tries) = (*target, *tries);
                let before = world.table.read().cloned();
                let is_pending = |item: &Shared<Item>| {
                    super::send::is_pending(&item.get().recipient, target, world)
                };
                let cancel = match before.filter(is_pending) {
                    Some(before) => Self::Saving {
                        target,
                        tries,
                        before,
                    },
                    None => Self::Answered {
                        target,
                        status: 409,
                    },
                };
                go("decides", cancel, world.clone());
            }
            Self::Saving {
                target,
                tries,
                before,
            } => {
                for (wire, mut next) in world.writes() {
                    let mut recipient = before.get().recipient.clone();
                    recipient.cancel(world.now);
                    let id: WriteId = 500 + u16::from(*tries);
                    let mut is_saved = false;
                    if wire.is_carried_out() {
                        if scenario.is_broken(Broken::CancelWithoutVersion) {
                            next.table.write(recipient.clone(), id);
                        }
                        is_saved = next
                            .table
                            .put(&recipient, id, &[Some(before.get().version)]);
                    }
                    let (target, tries) = (*target, *tries);
                    let cancel = match wire {
                        Wire::Answered if is_saved => Self::Answered {
                            target,
                            status: 200,
                        },
                        Wire::Answered if tries < 4 => Self::Looking {
                            target,
                            tries: tries + 1,
                        },
                        Wire::Repeated => Self::Saving {
                            target,
                            tries,
                            before: before.clone(),
                        },
                        _ => Self::Answered {
                            target,
                            status: 503,
                        },
                    };
                    go("saves", cancel, next);
                }
            }
            Self::Answered { .. } => {}
        }
    }
}

/// A report about one message: of a carrier that was called for it, or, where no worker runs, about
/// any message.
#[derive(Clone, Hash)]
pub enum Report {
    Idle,
    Applying {
        tag: DeliveryTag,
        carrier: u8,
        status: DeliveryStatus,
    },
    Done,
}

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
                        go(
                            "arrives",
                            Self::Applying {
                                tag,
                                carrier,
                                status,
                            },
                            world.clone(),
                        );
                    }
                }
            }
            Self::Applying {
                tag,
                carrier,
                status,
            } => {
                for (wire, mut next) in world.writes() {
                    if wire.is_carried_out() {
                        apply(scenario, &mut next, *tag, *carrier, *status);
                    }
                    // The carrier sends it again after an error.
                    let report = match wire {
                        Wire::Answered => Self::Done,
                        _ => world.reports[usize::from(number)].clone(),
                    };
                    go("is applied", report, next);
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

/// `Store::apply_report`: the status moves up, or an early report is kept.
fn apply(
    scenario: &Scenario,
    next: &mut World,
    tag: DeliveryTag,
    carrier: u8,
    status: DeliveryStatus,
) {
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
