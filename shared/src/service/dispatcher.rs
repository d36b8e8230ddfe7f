//! Dispatcher: how a saved message leaves `send`. Either the worker gets a dispatch, by invocation
//! or through the queue, or, with `OTP_DISPATCH=sns`, the message is handed over at once through
//! the worker's code.

use std::sync::Arc;

use tokio::time::Instant;

use super::deliver::breakers::Breakers;
use super::deliver::sns_publisher::SnsPublisher;
use super::deliver::{DeliverError, Delivering, SingleHandover};
use crate::carrier::ConfiguredCarrier;
use crate::config::{self, Apps};
use crate::crypto::keyring::Keyring;
use crate::domain::delivery_plan::ReportWaits;
use crate::domain::ids::ClaimId;
use crate::domain::recipient::Recipient;
use crate::platform::aws::Aws;
use crate::platform::clock::Clock;
use crate::platform::deadline::Deadline;
use crate::platform::logging::causes;
use crate::platform::metrics::Metrics;
use crate::platform::queue::{Dispatch, Queue, QueueError};
use crate::platform::worker_function::WorkerFunction;
use crate::store::{Store, WriteId};

/// How messages leave `send`.
pub(super) enum Dispatcher {
    /// To the worker.
    Worker(Box<WorkerDispatcher>),
    /// To SNS, within the request.
    Sns(Box<Delivering<SnsPublisher>>),
}

/// The two ways to the worker.
pub(super) struct WorkerDispatcher {
    queue: Queue,
    /// `None`: all dispatches go through the queue.
    function: Option<WorkerFunction>,
}

/// A message that left.
pub(super) enum Dispatched {
    /// The worker will get it.
    Enqueued,
    /// It was handed over, or its verification has ended meanwhile. The recipient after that.
    HandedOver(Box<Recipient>),
    /// With `OTP_DISPATCH=sns`: SNS did not accept it. The version of the item that the claim left.
    NotAccepted(Option<WriteId>),
}

impl Dispatcher {
    #[expect(
        clippy::too_many_arguments,
        reason = "the dependencies of either way, each once"
    )]
    pub(super) fn new(
        dispatch: config::Dispatch,
        aws: &Aws,
        store: &Store,
        breakers: Arc<Breakers>,
        keyring: Arc<Keyring>,
        apps: Apps,
        carriers: Arc<Vec<ConfiguredCarrier>>,
        waits: ReportWaits,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        match dispatch {
            config::Dispatch::Worker {
                queue_url,
                worker_url,
            } => {
                let worker = WorkerDispatcher {
                    queue: Queue::new(aws, queue_url),
                    function: worker_url.map(|url| WorkerFunction::new(aws, url, clock)),
                };
                Self::Worker(Box::new(worker))
            }
            config::Dispatch::Sns => Self::Sns(Box::new(Delivering {
                breakers,
                store: store.clone(),
                queue: None,
                carriers: SnsPublisher::new(carriers, aws),
                keyring,
                apps,
                waits,
                public_url: None,
                clock,
                metrics,
            })),
        }
    }

    /// Whether messages are handed over within the request.
    pub(super) fn hands_over(&self) -> bool {
        matches!(self, Self::Sns(_))
    }

    /// Enqueues the step that `dispatch` names, until `enqueue_until`; or takes it as `claim_id`,
    /// within `deadline`.
    pub(super) async fn dispatch(
        &self,
        dispatch: &Dispatch,
        claim_id: ClaimId,
        enqueue_until: Instant,
        deadline: Deadline,
    ) -> Result<Dispatched, DeliverError> {
        match self {
            Self::Worker(worker) => {
                worker.dispatch(dispatch, enqueue_until).await?;
                Ok(Dispatched::Enqueued)
            }
            Self::Sns(delivering) => {
                let handover = delivering.hand_over_once(dispatch, claim_id, deadline);
                Ok(match handover.await? {
                    SingleHandover::Done(recipient) => Dispatched::HandedOver(recipient),
                    SingleHandover::NotAccepted(version) => Dispatched::NotAccepted(version),
                })
            }
        }
    }

    /// Enqueues a step that is due later. Without a queue there is none.
    pub(super) async fn enqueue_later(
        &self,
        dispatch: &Dispatch,
        delay_seconds: i64,
    ) -> Result<(), QueueError> {
        match self {
            Self::Worker(worker) => worker.queue.enqueue(dispatch, delay_seconds).await,
            Self::Sns(_) => Ok(()),
        }
    }
}

impl WorkerDispatcher {
    /// Invokes the worker. If Lambda does not confirm it, enqueues the dispatch until `until`: the
    /// worker takes each step once, so it may get both.
    async fn dispatch(&self, dispatch: &Dispatch, until: Instant) -> Result<(), QueueError> {
        if let Some(function) = &self.function
            && !function.is_paused()
        {
            let Err(error) = function.invoke(dispatch, until).await else {
                return Ok(());
            };
            tracing::warn!(
                verification.id = dispatch.id.log_prefix(),
                app = dispatch.app,
                error.kind = "worker_not_invoked",
                error.cause = causes(&error),
                "failed to invoke carrier-worker; dispatches go through the queue for 30 seconds"
            );
        }
        self.queue.enqueue_until(dispatch, until).await
    }
}
