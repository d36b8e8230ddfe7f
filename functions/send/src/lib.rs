//! send: opens a verification and asks for its first message; resends; and the support desk's unlock and forget.
//! The recipient's own write comes first, then the limits over many recipients; only then is a message asked for.
//! Must never answer 201 for a message that nobody will be asked to send.

mod desk;
mod limits;
mod opened;
mod publish;
mod resend;
mod turns;
mod unsettled;
mod wanted;

use std::sync::Arc;

use lambda_http::http::Method;
use lambda_http::{Body, Request, Response};

use otp::api::authorization::authorize;
use otp::api::problem::{ErrorCode, Problem};
use otp::api::request;
use otp::api::response::Success;
use otp::api::response::respond;
use otp::api::routing::{Route, route};
use otp::api::v1::verification::render;
use otp::carrier::{ConfiguredCarrier, sns::Sns};
use otp::config::{ApiKeys, Apps, Config, DispatchMode};
use otp::crypto::seal::{Keyring, RecordKey};
use otp::domain::address::Address;
use otp::domain::channel::Channel;
use otp::domain::delivery::{DeliveryTag, IN_HAND_SECONDS};
use otp::domain::policy::Policy;
use otp::domain::rate_limit::LimitExceeded;
use otp::domain::recipient::Recipient;
use otp::domain::time::Timestamp;
use otp::domain::verification::{KeyHash, Nonce, Step};
use otp::domain::verification_ref::VerificationRef;
use otp::platform::aws::Service;
use otp::platform::clock::Clock;
use otp::platform::json;
use otp::platform::metrics::{Metric, Metrics};
use otp::platform::queue::{Dispatch, Queue};
use otp::platform::random::random_bytes;
use otp::store::{Begin, Change, Store, StoreError};
use serde_json::Value;

use limits::Limits;
use publish::publish;
use resend::resend;
use turns::Turns;
use unsettled::TakenBack;
use wanted::Wanted;

/// What the function holds between invocations.
pub struct App {
    store: Store,
    handover: Handover,
    seal: Arc<Keyring>,
    apps: Apps,
    api_keys: ApiKeys,
    carriers: Vec<ConfiguredCarrier>,
    turns: Turns,
    clock: Clock,
    metrics: Metrics,
}

/// Who hands the messages over.
enum Handover {
    Queue(Queue),
    Sns(Sns),
}

const VERIFICATIONS: &str = "/v1/verifications";
const RESEND: &str = "/v1/verifications/{}/resend";
const UNLOCK: &str = "/v1/recipients/unlock";
const FORGET: &str = "/v1/recipients/forget";

static ROUTES: &[Route] = &[
    Route {
        path: VERIFICATIONS,
        methods: &[Method::POST],
    },
    Route {
        path: RESEND,
        methods: &[Method::POST],
    },
    Route {
        path: UNLOCK,
        methods: &[Method::POST],
    },
    Route {
        path: FORGET,
        methods: &[Method::POST],
    },
];

impl App {
    /// From the function's configuration.
    #[must_use]
    pub fn new(config: Config, clock: Clock, metrics: Metrics) -> Self {
        let store = Store::new(
            &config.aws.config(Service::DynamoDb),
            config.table,
            config.seal.clone(),
        );
        let handover = match config.dispatch {
            DispatchMode::Queue => Handover::Queue(Queue::new(
                &config.aws.config(Service::Sqs),
                config.queue_url,
            )),
            DispatchMode::Sns => Handover::Sns(Sns::new(&config.aws.config(Service::Sns))),
        };
        Self {
            store,
            handover,
            seal: config.seal,
            apps: config.apps,
            api_keys: config.api_keys,
            carriers: config.carriers,
            turns: Turns::default(),
            clock,
            metrics,
        }
    }

    /// What the first call would wait for, done during init.
    pub async fn warm_up(&self) {
        otp::domain::phone::warm_up();
        self.store.warm_up().await;
    }

    /// The channel can be used, or 422.
    fn serve(&self, channel: Channel, to: &Address) -> Result<(), Problem> {
        let served = self
            .carriers
            .iter()
            .any(|carrier| carrier.serves(channel, to));
        let detail = format!(
            "No carrier is configured for channel `{}` to this recipient.",
            channel.name()
        );
        served
            .then_some(())
            .ok_or_else(|| Problem::new(ErrorCode::ChannelNotConfigured, &detail))
    }
}

/// HTTP in, answer out, logged once.
pub async fn handle(app: &App, request: &Request) -> Response<Body> {
    let request_id = request::request_id(request);
    let outcome = answer(app, request).await;
    respond("send", &request_id, outcome)
}

async fn answer(app: &App, request: &Request) -> Result<Success, Problem> {
    let (path, values) = route(request, ROUTES)?;
    let caller = authorize(request, &app.api_keys)?;
    let now = app.clock.now();
    match path {
        VERIFICATIONS => {
            let body = request::json_body(request)?;
            let key = request::idempotency_key(request)?;
            let idempotency = key.map(|k| {
                (
                    app.seal.key_hash(&caller, "key", k.as_bytes()),
                    app.seal.key_hash(&caller, "body", &json::canonical(&body)),
                )
            });
            let wanted = wanted::read(app, app.apps.policy(&caller), body)?;
            let sent = send(app, &caller, &wanted, idempotency, now)
                .await
                .map_err(|error| counted(app, error, now))?;
            Ok(
                Success::created(&sent.object, format!("{VERIFICATIONS}/{}", sent.id))
                    .replayed(sent.replayed),
            )
        }
        RESEND => {
            let wanted = wanted::read_resend(request::optional_json_body(request)?)?;
            let id = values.into_iter().next().unwrap_or_default();
            Ok(Success::ok(
                &resend(app, &caller, &id, wanted, now)
                    .await
                    .map_err(|error| counted(app, error, now))?
                    .object,
            ))
        }
        _ => desk::answer(app, &caller, path == FORGET, request, now).await,
    }
}

/// One call, about one recipient.
#[derive(Clone, Copy)]
struct Call<'a> {
    app: &'a App,
    /// The app whose key it came with.
    caller: &'a str,
    policy: &'a Policy,
    key: RecordKey,
    now: Timestamp,
}

/// A message was asked for, or had been asked for before.
struct Sent {
    id: String,
    object: Value,
    replayed: bool,
    /// ISO 3166 alpha-2, for the metric.
    country: Option<String>,
}

/// A message that is written and that nobody has been asked for yet.
struct Written {
    sent: Sent,
    nonce: Nonce,
    tag: DeliveryTag,
    step: Step,
    /// The recipient before it, for taking it back; absent where another call made it.
    before: Option<Recipient>,
}

/// What a send comes to once the recipient is written, or found.
enum Opened {
    New(Box<Written>),
    /// The same call again, whose message nobody has taken up yet: it is asked for again.
    Unheard(Box<Written>),
    /// The same call again, while the first one publishes its message.
    UnderWay,
    /// The same call again.
    Repeated(Sent),
}

/// Why nothing was sent.
enum SendError {
    NotFound,
    NotPending,
    TooLate,
    OtherBody,
    InProgress,
    NotServed(Problem),
    LimitExceeded(Box<Policy>, LimitExceeded, Timestamp),
    Store(StoreError),
    NotDispatched(String),
}

impl SendError {
    fn limited(policy: &Policy, limited: LimitExceeded, now: Timestamp) -> Self {
        Self::LimitExceeded(Box::new(policy.clone()), limited, now)
    }
}

/// `error`, counted if a limit refused.
fn counted(app: &App, error: SendError, now: Timestamp) -> SendError {
    if let SendError::LimitExceeded(_, limited, _) = &error {
        app.metrics.count(
            &Metric::Refusal {
                limit: limited.limit.name(),
            },
            now,
        );
    }
    error
}

impl From<StoreError> for SendError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SendError> for Problem {
    fn from(error: SendError) -> Self {
        match error {
            SendError::NotFound => Self::new(
                ErrorCode::NotFound,
                "There is no verification with this id.",
            ),
            SendError::NotPending => Self::new(
                ErrorCode::NotPending,
                "Only a pending verification can be resent.",
            ),
            SendError::TooLate => Self::new(
                ErrorCode::NotPending,
                "The code expires before a further message could arrive.",
            ),
            SendError::OtherBody => Self::new(
                ErrorCode::IdempotencyMismatch,
                "This Idempotency-Key came with another body for this recipient.",
            ),
            SendError::InProgress => Self::new(
                ErrorCode::InProgress,
                "A call with this Idempotency-Key is still under way; repeat it in a moment.",
            ),
            SendError::NotServed(problem) => problem,
            SendError::LimitExceeded(policy, limited, now) => {
                Self::rate_limited(limited, &policy, now)
            }
            SendError::Store(error) => Self::unavailable(error.0),
            SendError::NotDispatched(cause) => Self::unavailable(cause),
        }
    }
}

/// One write opens the verification and counts the send. The other limits are passed before it wherever a refused send could be seen:
/// by whoever knows the recipient's verifications, or repeats the call with its key. For a recipient that is new they are passed after
/// it, so that of many sends at once one passes them. Then its message is asked for.
async fn send(
    app: &App,
    caller: &str,
    wanted: &Wanted,
    idempotency: Option<(KeyHash, KeyHash)>,
    now: Timestamp,
) -> Result<Sent, SendError> {
    let key = app.seal.recipient_key(caller, &wanted.to.canonical());
    let _turn = app.turns.take(&key).await;
    let call = Call {
        app,
        caller,
        policy: app.apps.policy(caller),
        key,
        now,
    };
    let nonce: Nonce = random_bytes();
    let mut limits = Limits {
        call,
        counters: limits::counters(&call, wanted.client_ip, &wanted.to, wanted.channel, &nonce),
        taken: None,
        is_contested: false,
    };
    let mut rule = |recipient: &mut Recipient| {
        if let Some((key_hash, body_hash)) = idempotency
            && let Some((found, made_with)) = recipient.made_with(&key_hash, now)
        {
            let nonce = found.params().nonce;
            return if made_with == body_hash {
                unsettled::repeat(&call, &nonce, recipient)
            } else {
                Err(SendError::OtherBody)
            };
        }
        recipient
            .check_limits(call.policy, now)
            .map_err(|limited| SendError::limited(call.policy, limited, now))?;
        let before = recipient.clone();
        let passes_first = idempotency.is_some() || before.is_known();
        let mut verification = opened::verification(&call, wanted, recipient, nonce, idempotency);
        verification.step.sequence = if passes_first {
            unsettled::PASSED
        } else {
            unsettled::NOT_PASSED
        };
        recipient.sealed_address = app.store.seal_address(&key, &wanted.to);
        recipient.address = Some(wanted.to.clone());
        recipient.open(verification, now);
        let opened = Opened::New(Box::new(call.written(recipient, Some(before))?));
        Ok(if passes_first {
            Change::WriteAfter(opened)
        } else {
            Change::Write(opened)
        })
    };
    let pass_first = async |opened| limits.pass().await.map(|()| opened);
    // A call that may be repeated looks first, for its repetition must meet no limit.
    let begin = if idempotency.is_some() {
        Begin::Read
    } else {
        Begin::Blank
    };
    let mut opened = app
        .store
        .change_after(&key, caller, begin, now, &mut rule, pass_first)
        .await;
    if limits.is_contested || matches!(opened, Ok(Ok(Opened::UnderWay))) {
        limits.give_back().await;
        tokio::time::sleep(unsettled::UNDER_WAY_WAIT).await;
        let pass_first = async |opened| limits.pass().await.map(|()| opened);
        opened = app
            .store
            .change_after(&key, caller, Begin::Read, now, &mut rule, pass_first)
            .await;
    }
    match opened {
        Ok(Ok(Opened::New(written))) => pass_and_ask(&mut limits, *written).await,
        Ok(Ok(Opened::Unheard(written))) => {
            limits.give_back().await;
            unsettled::ask_again(&call, *written).await
        }
        Ok(Ok(Opened::Repeated(sent))) => {
            limits.give_back().await;
            Ok(sent)
        }
        Ok(Ok(Opened::UnderWay)) => Err(limits.refuse(SendError::InProgress).await),
        Ok(Err(refusal)) => Err(limits.refuse(refusal).await),
        Err(error) => Err(limits.refuse(SendError::Store(error)).await),
    }
}

/// Passes the limits, if that was not done yet, and asks for the message that was written. If it may not go, or if nobody can be asked,
/// it is taken back and the caller told.
async fn pass_and_ask(limits: &mut Limits<'_>, written: Written) -> Result<Sent, SendError> {
    let call = limits.call;
    if let Err(refusal) = limits.pass().await {
        unsettled::take_back(&call, &written).await;
        return Err(limits.refuse(refusal).await);
    }
    let told = match call.ask(&written).await {
        Ok(recipient) => recipient,
        Err(cause) => match unsettled::take_back(&call, &written).await {
            TakenBack::TakenUp(recipient) => Some(*recipient),
            TakenBack::Undone => {
                limits.give_back().await;
                return Err(SendError::NotDispatched(cause));
            }
            TakenBack::Unsure => return Err(SendError::NotDispatched(cause)),
        },
    };
    call.app.metrics.count(
        &Metric::Send {
            country: written.sent.country.as_deref(),
        },
        call.now,
    );
    Ok(told
        .and_then(|recipient| call.shown(&written.nonce, &recipient))
        .unwrap_or(written.sent))
}

impl Call<'_> {
    /// The latest message of the verification of now, as it is about to be written. Where this function publishes itself, it is held
    /// for this call.
    fn written(
        &self,
        recipient: &mut Recipient,
        before: Option<Recipient>,
    ) -> Result<Written, SendError> {
        let verification = recipient.verification.as_mut().ok_or(SendError::NotFound)?;
        if self.publishes() {
            verification.step.held_until = self.now + IN_HAND_SECONDS;
            verification.step.holder = random_bytes();
        }
        let (nonce, step) = (verification.params.nonce, verification.step);
        let tag = verification
            .deliveries
            .last()
            .ok_or(SendError::NotFound)?
            .tag;
        let sent = self.shown(&nonce, recipient).ok_or(SendError::NotFound)?;
        Ok(Written {
            sent,
            nonce,
            tag,
            step,
            before,
        })
    }

    /// The verification as its caller sees it, if anything is known of it.
    fn shown(&self, nonce: &Nonce, recipient: &Recipient) -> Option<Sent> {
        let id = self.app.seal.verification_id(self.caller, &self.key, nonce);
        // One that was made with an Idempotency-Key is remembered for longer than it can be read by its id.
        let remembered = || {
            recipient
                .ended
                .iter()
                .find(|ended| ended.params.nonce == *nonce)
                .map(VerificationRef::Past)
        };
        let found = recipient.find(nonce, self.now).or_else(remembered)?;
        let object = render(&id, recipient, found, self.policy, self.now);
        let country = recipient
            .address
            .as_ref()
            .and_then(Address::country)
            .map(str::to_owned);
        Some(Sent {
            id,
            object,
            replayed: false,
            country,
        })
    }

    /// Whether this function hands messages over itself.
    fn publishes(&self) -> bool {
        matches!(self.app.handover, Handover::Sns(_))
    }

    /// Asks for a message that has passed its limits; where it is published from here, with the recipient as it is after that.
    ///
    /// # Errors
    /// For the log: nobody was asked.
    async fn ask(&self, written: &Written) -> Result<Option<Recipient>, String> {
        match &self.app.handover {
            Handover::Queue(queue) => {
                let dispatch =
                    Dispatch::new(self.caller, written.sent.id.clone(), written.step.sequence);
                queue
                    .enqueue(&dispatch, 0)
                    .await
                    .map(|()| None)
                    .map_err(|error| error.0)
            }
            Handover::Sns(sns) => publish(self, sns, written).await.map(Some),
        }
    }
}
