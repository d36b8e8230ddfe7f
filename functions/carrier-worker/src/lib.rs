//! carrier-worker: takes dispatches from the queue and hands messages to carriers. It claims before it calls, so that a
//! dispatch that comes twice sends once, and it plans what follows before it lets go.
//! Must never hand over a dead code, a second message after a permanent refusal, or anything for a stale dispatch.

mod ask;
mod breaker;
mod end;
mod further;
mod hand;

use std::collections::HashMap;
use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use otp::carrier::Carriers;
use otp::config::{Apps, Config};
use otp::crypto::seal::Keyring;
use otp::domain::delivery::{self, Delivery, DeliveryStatus, IN_HAND_SECONDS, Next, Waits};
use otp::domain::recipient::Recipient;
use otp::domain::time::Timestamp;
use otp::domain::verification::Verification;
use otp::platform::aws::Service;
use otp::platform::clock::Clock;
use otp::platform::metrics::Metrics;
use otp::platform::queue::{Dispatch, Queue, QueueError};
use otp::platform::random::random_bytes;
use otp::store::{Claim, Handover, NEVER, Store, StoreError, Written};
use tokio::task::JoinSet;

use breaker::Breakers;
use hand::{Known, carrier_before, may_go};

/// What the function holds between invocations.
#[derive(Clone)]
pub struct App(Arc<Worker>);

struct Worker {
    store: Store,
    queue: Queue,
    carriers: Carriers,
    breakers: Breakers,
    seal: Arc<Keyring>,
    apps: Apps,
    waits: Waits,
    public_url: String,
    clock: Clock,
    metrics: Metrics,
}

impl App {
    /// From the function's configuration.
    #[must_use]
    pub fn new(config: Config, clock: Clock, metrics: Metrics) -> Self {
        let store = Store::new(
            &config.aws.config(Service::DynamoDb),
            config.table,
            config.seal.clone(),
        );
        Self(Arc::new(Worker {
            breakers: Breakers::new(store.clone(), &config.seal, clock.clone()),
            store,
            queue: Queue::new(&config.aws.config(Service::Sqs), config.queue_url),
            carriers: Carriers::new(config.carriers, &config.aws),
            seal: config.seal,
            apps: config.apps,
            waits: config.waits,
            public_url: config.public_url,
            clock,
            metrics,
        }))
    }

    /// What the first call would wait for, done during init.
    pub async fn warm_up(&self) {
        self.0.store.warm_up().await;
    }
}

/// A batch in, the ids of the messages that must come again out.
pub async fn handle(app: &App, batch: SqsEvent) -> SqsBatchResponse {
    let (mut running, mut message_ids) = (JoinSet::new(), HashMap::new());
    for record in batch.records {
        let worker = app.0.clone();
        let task = running.spawn(async move {
            match Dispatch::parse(record.body.as_deref().unwrap_or_default()) {
                Some(dispatch) => deliver(&worker, &dispatch).await,
                None => Err(DeliverError::Unreadable),
            }
        });
        message_ids.insert(task.id(), record.message_id.unwrap_or_default());
    }
    let mut response = SqsBatchResponse::default();
    while let Some(joined) = running.join_next_with_id().await {
        let failed = match joined {
            Ok((_, Ok(()))) => continue,
            Ok((task, Err(error))) => {
                tracing::error!(
                    error.kind = error.kind(),
                    error.cause = error.cause(),
                    "a dispatch failed"
                );
                task
            }
            // The panic itself was logged where it happened.
            Err(panicked) => panicked.id(),
        };
        response.add_failure(message_ids.remove(&failed).unwrap_or_default());
    }
    response
}

/// Why a dispatch must come again.
enum DeliverError {
    Unreadable,
    Store(StoreError),
    Queue(QueueError),
}

impl DeliverError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable_dispatch",
            Self::Store(_) => "store",
            Self::Queue(_) => "queue",
        }
    }

    fn cause(&self) -> &str {
        match self {
            Self::Unreadable => "the message is not a dispatch of ours",
            Self::Store(error) => &error.0,
            Self::Queue(error) => &error.0,
        }
    }
}

impl From<StoreError> for DeliverError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<QueueError> for DeliverError {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

/// Takes the step that `dispatch` asks for, if it is the current one.
async fn deliver(worker: &Worker, dispatch: &Dispatch) -> Result<(), DeliverError> {
    let now = worker.clock.now();
    let Some((key, nonce)) = worker
        .seal
        .open_verification_id(&dispatch.app, &dispatch.id)
    else {
        return Err(DeliverError::Unreadable);
    };
    let claim = Claim {
        key,
        nonce,
        sequence: dispatch.seq,
        held_until: now + IN_HAND_SECONDS,
        holder: random_bytes(),
    };
    let written = worker.store.claim(&claim, now).await?;
    // The table may have taken its time.
    let work = Work {
        worker,
        dispatch,
        claim,
        claimed_at: now,
        now: worker.clock.now(),
    };
    match written {
        Written::Done(recipient) => work.step(&recipient).await,
        Written::Refused(Some(recipient)) => work.refused(&recipient).await,
        Written::Refused(None) => Ok(()),
    }
}

/// One step of one verification's deliveries.
struct Work<'a> {
    worker: &'a Worker,
    dispatch: &'a Dispatch,
    claim: Claim,
    /// When the claim was asked for: what it brought is as old as this.
    claimed_at: Timestamp,
    now: Timestamp,
}

impl Work<'_> {
    /// The claim did not win: stale, early, somebody else's, or too late.
    async fn refused(&self, recipient: &Recipient) -> Result<(), DeliverError> {
        let of_now = recipient
            .verification
            .as_ref()
            .filter(|v| v.params.nonce == self.claim.nonce);
        let Some(verification) = of_now else {
            let ended = recipient
                .ended
                .iter()
                .find(|ended| ended.params.nonce == self.claim.nonce);
            return self
                .tell_left(ended.map_or(&[], |ended| &ended.deliveries))
                .await;
        };
        let (step, sequence) = (verification.step, self.claim.sequence);
        if step.sequence != sequence
            && let [before @ .., _] = verification.deliveries.as_slice()
        {
            self.tell_left(before).await?;
        }
        if may_go(verification, self.now).is_err() {
            // A message that was still to go will not go any more; what a worker has in hand, that worker will tell.
            let is_left = step.sequence == sequence && !verification.is_in_hand(self.now);
            let waiting = verification
                .deliveries
                .last()
                .filter(|latest| latest.status == DeliveryStatus::Queued && is_left);
            if let Some(delivery) = waiting {
                self.raise(
                    &delivery.tag,
                    verification.left_as(self.now),
                    None,
                    self.now,
                )
                .await?;
            }
            return Ok(());
        }
        if step.due == NEVER {
            return Ok(());
        }
        if step.sequence == sequence {
            // Early, or held by another worker: should that one die, this dispatch comes after it.
            return self
                .dispatch_again(sequence, step.due.max(step.held_until))
                .await;
        }
        if step.sequence == sequence.saturating_add(1) && step.held_until <= self.now {
            // The worker before may have died after it planned the next step and before it asked for it. To ask twice is harmless.
            return self.dispatch_again(step.sequence, step.due).await;
        }
        Ok(())
    }

    /// The claim won: do what follows from the deliveries so far.
    async fn step(&self, recipient: &Recipient) -> Result<(), DeliverError> {
        let Some(verification) = &recipient.verification else {
            return Ok(());
        };
        let Some(latest) = verification.deliveries.last() else {
            return Ok(());
        };
        if may_go(verification, self.now).is_err() {
            let never_sent = latest.status == DeliveryStatus::Queued;
            return self
                .end(
                    never_sent.then_some((latest, DeliveryStatus::Failed, None)),
                    None,
                    None,
                    0,
                )
                .await;
        }
        if delivery::is_question(
            latest,
            verification.params.expires_at,
            verification.step.due,
        ) {
            return self.ask(recipient, verification, latest).await;
        }
        match self.next(recipient, verification, &verification.deliveries, self.now) {
            Next::Rest | Next::Wait(_) => {
                let due = self.due(recipient, verification, &verification.deliveries, self.now);
                self.end(None, None, due, 0).await
            }
            Next::Hand => {
                let known = Known {
                    recipient,
                    verification,
                    at: self.claimed_at,
                };
                self.hand(known, latest, carrier_before(verification, latest), None)
                    .await
            }
            Next::Open {
                channel,
                cause,
                except,
            } => {
                self.open(recipient, verification, channel, cause, except.as_deref())
                    .await
            }
        }
    }

    /// A carrier said what became of a message: when it was handed over, or when it was asked later.
    pub(crate) async fn told(
        &self,
        recipient: &Recipient,
        verification: &Verification,
        delivery: &Delivery,
        status: DeliveryStatus,
        carrier: &str,
        handover: Option<Handover>,
    ) -> Result<(), DeliverError> {
        let now = self.worker.clock.now();
        let mut deliveries = verification.deliveries.clone();
        if let Some(latest) = deliveries.last_mut() {
            (latest.status, latest.carrier, latest.updated_at) =
                (status, Some(carrier.to_owned()), now);
            latest.vendor_id = handover
                .as_ref()
                .map_or(latest.vendor_id.take(), |handover| {
                    handover.vendor_id.clone()
                });
        }
        let due = self.due(recipient, verification, &deliveries, now);
        self.end(Some((delivery, status, Some(carrier))), handover, due, 0)
            .await
    }

    pub(crate) fn due(
        &self,
        recipient: &Recipient,
        verification: &Verification,
        deliveries: &[Delivery],
        now: Timestamp,
    ) -> Option<Timestamp> {
        let step = match self.next(recipient, verification, deliveries, now) {
            Next::Wait(at) => Some(at),
            Next::Open { .. } => Some(now),
            Next::Hand | Next::Rest => None,
        };
        let question = deliveries.last().and_then(|latest| {
            delivery::next_question(latest, verification.params.expires_at, now)
        });
        step.into_iter().chain(question).min()
    }

    fn next(
        &self,
        recipient: &Recipient,
        verification: &Verification,
        deliveries: &[Delivery],
        now: Timestamp,
    ) -> Next {
        let (latest, to) = (deliveries.last(), recipient.address.as_ref());
        let mut serving = latest
            .zip(to)
            .into_iter()
            .flat_map(|(latest, to)| self.worker.carriers.serving(latest.channel, to));
        let second_carrier = serving.any(|carrier| {
            latest.is_some_and(|latest| latest.carrier.as_ref() != Some(&carrier.name))
        });
        delivery::next(
            deliveries,
            second_carrier,
            verification.fallback_left(),
            self.worker.waits,
            now,
        )
    }
}
