//! A send or a resend: look up, replay, decide; `saving` has the rest. As in `service::send`,
//! `service::resend` and `service::replay`.

use otp::domain::channel::Channel;
use otp::domain::delivery::Cause;
use otp::domain::ids::{AttemptHash, BodyHash, DeliveryTag, IdempotencyKeyHash, VerificationNonce};
use otp::domain::recipient::Recipient;
use otp::domain::step::StepState;
use otp::domain::verification::{SealedCode, Verification};
use otp::domain::verification_params::{DEFAULT_PURPOSE, Idempotency, VerificationParams};
use otp::domain::verification_ref::VerificationRef;

use super::broken::Broken;
use super::check::{WRONG, first_code};
use super::saving::Saving;
use super::table::{ENQUEUES, Item, Shared, WRITES, Wire, WriteId};
use super::world::{Dispatch, Scenario, Steps, TTL_SECONDS, World};

/// How often a send starts over after another writer was first.
const STARTS_MAX: u8 = 4;
const IDEMPOTENCY: Idempotency = Idempotency {
    key: IdempotencyKeyHash([1; 8]),
    body: BodyHash([1; 8]),
};

/// A send, or a resend.
#[derive(Clone, Hash)]
pub enum Send {
    Idle,
    Looking(Request),
    Saving(Saving),
    /// The save failed. It is read once whether it was carried out.
    Unsure(Saving),
    Enqueueing(Saving),
    RollingBack(Saving),
    /// A repetition enqueues the message again, then writes that it has.
    EnqueueingAgain(Request, Shared<Item>),
    Touching(Request, Shared<Item>),
    Answered(Answer),
    Crashed,
}

/// What is requested.
#[derive(Clone, Copy, Hash)]
pub struct Request {
    pub kind: Kind,
    number: u8,
    starts: u8,
}

#[derive(Clone, Copy, Hash, PartialEq, Eq)]
pub enum Kind {
    New,
    Resend,
    /// With the hash of the code that replaces the earlier one.
    FreshResend(AttemptHash),
}

/// The response.
#[derive(Clone, Copy, Hash, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The message of a success.
    pub sent: Option<(VerificationNonce, DeliveryTag)>,
    /// Whether it opened a verification.
    pub is_new: bool,
}

impl Send {
    pub fn steps(scenario: &Scenario, world: &World, number: u8, steps: &mut Steps) {
        let me = ("send", number);
        let current = &world.sends[usize::from(number)];
        let mut go = |(what, send, mut next): (&'static str, Self, World)| {
            next.sends[usize::from(number)] = send;
            steps.push(((me, what), next));
        };
        match current {
            // The request and its read are one step: nothing sees the time in between.
            Self::Idle => {
                for request in choices(scenario, world, number) {
                    for (wire, next) in world.calls().take(2) {
                        go(request.look_up(scenario, wire, next));
                    }
                }
            }
            Self::Looking(request) => {
                for (wire, next) in world.calls().take(2) {
                    go(request.look_up(scenario, wire, next));
                }
            }
            Self::Saving(saving) => saving.save(scenario, world).into_iter().for_each(go),
            Self::Unsure(saving) => world.calls().take(2).for_each(|(wire, next)| {
                go(saving.read_whether_saved(scenario, wire, next));
            }),
            Self::Enqueueing(saving) => world.calls().for_each(|(wire, next)| {
                go(saving.enqueue(scenario, wire, next));
            }),
            Self::RollingBack(saving) => world.writes().for_each(|(wire, next)| {
                go(saving.roll_back(scenario, wire, next));
            }),
            Self::EnqueueingAgain(request, item) => world.calls().for_each(|(wire, next)| {
                go(request.enqueue_again(scenario, item, wire, next));
            }),
            Self::Touching(request, item) => world.writes().for_each(|(wire, next)| {
                go(request.touch(item, wire, next));
            }),
            Self::Answered(_) | Self::Crashed => {}
        }
        if world.crashes_left > 0 && !current.is_done() {
            let mut next = world.clone();
            next.crashes_left -= 1;
            next.sends[usize::from(number)] = current.crash(scenario);
            steps.push(((me, "crashes"), next));
        }
    }

    fn crash(&self, scenario: &Scenario) -> Self {
        match self {
            Self::Enqueueing(saving) if scenario.is_broken(Broken::AnswerBeforeEnqueue) => {
                saving.success()
            }
            _ => Self::Crashed,
        }
    }

    /// The message of a success.
    pub fn acknowledged(&self) -> Option<(VerificationNonce, DeliveryTag)> {
        match self {
            Self::Answered(Answer {
                status: 201, sent, ..
            }) => *sent,
            _ => None,
        }
    }

    /// Whether nothing of it is left to do: it was not requested, or has ended.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Idle | Self::Answered(_) | Self::Crashed)
    }
}

/// What send `number` may be. The second one may be a resend of the first.
fn choices(scenario: &Scenario, world: &World, number: u8) -> Vec<Request> {
    if number > 0 && matches!(world.sends[0], Send::Idle) {
        return vec![];
    }
    let request = |kind| Request {
        kind,
        number,
        starts: 1,
    };
    let mut kinds = vec![Kind::New];
    let is_known = world.sends[0].acknowledged().is_some();
    if number > 0 && !scenario.is_repeated && is_known && world.is_pending(0) {
        kinds.push(Kind::Resend);
        if scenario.checks > 0 {
            // A new code, which may equal an earlier attempt.
            kinds.push(Kind::FreshResend(AttemptHash([20; 16])));
            kinds.push(Kind::FreshResend(WRONG));
        }
    }
    kinds.into_iter().map(request).collect()
}

impl Request {
    pub fn again(self) -> Send {
        match self.starts < STARTS_MAX {
            true => Send::Looking(Self {
                starts: self.starts + 1,
                ..self
            }),
            false => self.failure(503),
        }
    }

    pub fn failure(self, status: u16) -> Send {
        Send::Answered(Answer {
            status,
            sent: None,
            is_new: false,
        })
    }

    /// The id of a write. Each start has three: save, restore, touch.
    pub fn write_id(self, kind: u16) -> WriteId {
        200 + u16::from(self.number) * 50 + u16::from(self.starts) * 4 + kind
    }

    pub fn tag(self) -> DeliveryTag {
        DeliveryTag([self.number, self.starts, 0, 0])
    }

    /// Reads the recipient, then replays or decides.
    fn look_up(
        self,
        scenario: &Scenario,
        wire: Wire,
        mut next: World,
    ) -> (&'static str, Send, World) {
        if wire.is_fault() {
            return ("cannot read", self.failure(503), next);
        }
        let before = next.table.read().cloned();
        if let Some(send) = before
            .as_ref()
            .and_then(|item| self.replay(scenario, item, &next))
        {
            return ("finds its key", send, next);
        }
        let recipient = next.recipient();
        let send = match self.decide(scenario, &recipient, &next) {
            Ok(after) => {
                let saving = Saving {
                    request: self,
                    before,
                    after: Shared::new(after),
                };
                if scenario.is_broken(Broken::EnqueueBeforeSave) {
                    next.enqueue(saving.dispatch(&next));
                }
                Send::Saving(saving)
            }
            Err(status) => self.failure(status),
        };
        ("decides", send, next)
    }

    /// `service::replay`.
    fn replay(self, scenario: &Scenario, item: &Shared<Item>, world: &World) -> Option<Send> {
        if !scenario.is_repeated {
            return None;
        }
        let recipient = &item.get().recipient;
        let (found, _) = recipient.find_by_idempotency_key(IDEMPOTENCY.key, world.now)?;
        Some(match found {
            VerificationRef::Current(current) if is_first_pending(current, world) => {
                Send::EnqueueingAgain(self, item.clone())
            }
            found => {
                let tag = found.deliveries().first().map(|first| first.tag);
                let sent = tag.map(|tag| (found.params().nonce, tag));
                Send::Answered(Answer {
                    status: 201,
                    sent,
                    is_new: false,
                })
            }
        })
    }

    /// The recipient with the new message, or the status that rejects the send.
    fn decide(
        self,
        scenario: &Scenario,
        recipient: &Recipient,
        world: &World,
    ) -> Result<Recipient, u16> {
        let (policy, now) = (Scenario::policy(), world.now);
        let mut after = recipient.clone();
        if self.kind != Kind::New {
            let is_pending = world.is_pending(0);
            let current = recipient
                .current
                .as_ref()
                .filter(|_| is_pending)
                .ok_or(409_u16)?;
            if !current.params.has_time_for_a_send(now) {
                return Err(409);
            }
        }
        recipient.check_limits(&policy, now).map_err(|_| 429_u16)?;
        match self.kind {
            Kind::New => {
                let mut opened = self.opened(scenario, recipient, world);
                opened.add_delivery(Channel::Sms, Cause::Requested, self.tag(), now);
                after.open(opened, now);
                if scenario.is_broken(Broken::NewVerificationDropsFailures) {
                    after.failures.clear();
                }
            }
            Kind::Resend => after.resend(Channel::Sms, self.tag(), None, now),
            Kind::FreshResend(expected_hash) => {
                let code = SealedCode {
                    sealed: vec![],
                    expected_hash,
                };
                after.resend(Channel::Sms, self.tag(), Some(code), now);
            }
        }
        if let Some(current) = after.current.as_mut().filter(|_| self.kind != Kind::New) {
            if scenario.is_broken(Broken::ResendClearsAttempts) {
                current.attempts.clear();
                current.attempts_at_earlier_codes = 0;
            }
            if scenario.is_broken(Broken::FreshCodeMeetsEarlierAttempts) {
                current.attempts_at_earlier_codes = 0;
            }
        }
        Ok(after)
    }

    fn opened(self, scenario: &Scenario, recipient: &Recipient, world: &World) -> Verification {
        let (policy, now) = (Scenario::policy(), world.now);
        let nonce = VerificationNonce([self.number, self.starts, 0, 0]);
        let attempts_max = match scenario.is_broken(Broken::NewVerificationIgnoresBudget) {
            true => policy.max_attempts,
            false => recipient.attempts_allowed(&policy, now),
        };
        let params = VerificationParams {
            nonce,
            channel: Channel::Sms,
            fallback: vec![],
            locale: String::new(),
            purpose: DEFAULT_PURPOSE.into(),
            transaction: None,
            subject: None,
            reference: None,
            idempotency: scenario.is_repeated.then_some(IDEMPOTENCY),
            created_at: now,
            expires_at: now + TTL_SECONDS,
            attempts_max,
        };
        Verification::new(
            params,
            SealedCode {
                sealed: vec![],
                expected_hash: first_code(nonce),
            },
        )
    }

    fn enqueue_again(
        self,
        scenario: &Scenario,
        item: &Shared<Item>,
        wire: Wire,
        mut next: World,
    ) -> (&'static str, Send, World) {
        let Some(current) = &item.get().recipient.current else {
            return ("finds nothing", self.failure(503), next);
        };
        if wire.is_carried_out() {
            next.enqueue(dispatch_of(current, &next));
        }
        let send = match wire.is_fault() {
            true => self.failure(503),
            false if scenario.is_broken(Broken::RepeatWithoutWrite) => replayed(current),
            false => Send::Touching(self, item.clone()),
        };
        (wire.named(ENQUEUES), send, next)
    }

    fn touch(
        self,
        item: &Shared<Item>,
        wire: Wire,
        mut next: World,
    ) -> (&'static str, Send, World) {
        let Item { recipient, version } = item.get();
        let id = self.write_id(2);
        let is_saved = wire.is_carried_out() && next.table.put(recipient, id, &[Some(*version)]);
        let send = match (wire, &recipient.current) {
            (Wire::Answered, Some(current)) if is_saved => replayed(current),
            (Wire::Answered, _) => self.again(),
            (Wire::Repeated, _) => Send::Touching(self, item.clone()),
            _ => self.failure(503),
        };
        (wire.named(WRITES), send, next)
    }
}

fn replayed(current: &Verification) -> Send {
    let tag = current.deliveries.first().map(|first| first.tag);
    let sent = tag.map(|tag| (current.params.nonce, tag));
    Send::Answered(Answer {
        status: 201,
        sent,
        is_new: false,
    })
}

fn is_first_pending(current: &Verification, world: &World) -> bool {
    let is_first = current
        .deliveries
        .iter()
        .all(|delivery| delivery.number == 1);
    let is_queued = current.step.state(world.now) == StepState::Queued;
    is_first && is_queued && current.is_untouched() && current.is_deliverable(world.now)
}

pub fn dispatch_of(verification: &Verification, world: &World) -> Dispatch {
    Dispatch {
        verification: verification.params.nonce.0,
        step: verification.step.sequence,
        due: world.now,
    }
}
