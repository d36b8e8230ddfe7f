//! send: opens a verification and asks for its first message; resends; and the support desk's unlock and forget.
//! The recipient's own write comes first, then the limits over many recipients; only then is a message asked for.
//! Must never answer 201 for a message that nobody will be asked to send.

mod desk;
mod limits;
mod publish;
mod wanted;

use std::sync::Arc;

use lambda_http::http::Method;
use lambda_http::{Body, Request, Response};
use otp::address::Address;
use otp::ambient::{Clock, entropy, random_bytes};
use otp::aws::Service;
use otp::carrier::{CarrierSettings, sns::Sns};
use otp::code::Code as OneTimeCode;
use otp::config::{ApiKeys, Apps, Config, DispatchMode};
use otp::delivery::{Cause, Channel};
use otp::http::{self, Answer, Code, Problem, Route};
use otp::metrics::{Metric, Metrics};
use otp::policy::Policy;
use otp::queue::{Dispatch, Queue};
use otp::recipient::{Found, FreshCode, Limited, Recipient, makes_fresh_code};
use otp::seal::{RecipientKey, Seal};
use otp::store::{Begin, Change, Counter, Store, StoreError};
use otp::timestamp::Timestamp;
use otp::verification::{Holder, KeyHash, Nonce, Status, Step, Terms, Verification};
use otp::{json, message, view};
use serde_json::Value;

use publish::{Published, publish};
use wanted::{Wanted, WantedResend};

/// How long publishing to SNS may hold a verification: longer than the function may run.
const PUBLISH_SECONDS: i64 = 15;

/// What the function holds between invocations.
pub struct App {
    store: Store,
    handover: Handover,
    seal: Arc<Seal>,
    apps: Apps,
    api_keys: ApiKeys,
    carriers: Vec<CarrierSettings>,
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
    Route { path: VERIFICATIONS, methods: &[Method::POST] },
    Route { path: RESEND, methods: &[Method::POST] },
    Route { path: UNLOCK, methods: &[Method::POST] },
    Route { path: FORGET, methods: &[Method::POST] },
];

impl App {
    /// From the function's configuration.
    #[must_use]
    pub fn new(config: Config, clock: Clock, metrics: Metrics) -> Self {
        let store = Store::new(&config.aws.config(Service::DynamoDb), config.table, config.seal.clone());
        let handover = match config.dispatch {
            DispatchMode::Queue => Handover::Queue(Queue::new(&config.aws.config(Service::Sqs), config.queue_url)),
            DispatchMode::Sns => Handover::Sns(Sns::new(&config.aws.config(Service::Sns))),
        };
        Self { store, handover, seal: config.seal, apps: config.apps, api_keys: config.api_keys, carriers: config.carriers, clock, metrics }
    }

    /// What the first call would wait for, done during init.
    pub async fn warm_up(&self) {
        otp::phone::warm_up();
        self.store.warm_up().await;
    }

    /// The channel can be used, or 422.
    fn serve(&self, channel: Channel, to: &Address) -> Result<(), Problem> {
        let served = self.carriers.iter().any(|carrier| carrier.serves(channel, to));
        let detail = format!("No carrier is configured for channel `{}` to this recipient.", channel.name());
        served.then_some(()).ok_or_else(|| Problem::new(Code::ChannelNotConfigured, &detail))
    }
}

/// HTTP in, answer out, logged once.
pub async fn handle(app: &App, request: &Request) -> Response<Body> {
    let request_id = http::request_id(request);
    let outcome = answer(app, request).await;
    http::respond("send", &request_id, outcome)
}

async fn answer(app: &App, request: &Request) -> Result<Answer, Problem> {
    let (path, values) = http::route(request, ROUTES)?;
    let caller = http::authorize(request, &app.api_keys)?;
    let now = app.clock.now();
    match path {
        VERIFICATIONS => {
            let body = http::json_body(request)?;
            let key = http::idempotency_key(request)?;
            let idempotency =
                key.map(|k| (app.seal.key_hash(&caller, "key", k.as_bytes()), app.seal.key_hash(&caller, "body", &json::canonical(&body))));
            let wanted = wanted::read(app, app.apps.policy(&caller), body)?;
            let sent = send(app, &caller, &wanted, idempotency, now).await.map_err(|error| counted(app, error, now))?;
            Ok(Answer::created(sent.object, format!("{VERIFICATIONS}/{}", sent.id)).replayed(sent.replayed))
        }
        RESEND => {
            let wanted = wanted::read_resend(http::optional_json_body(request)?)?;
            let id = values.into_iter().next().unwrap_or_default();
            Ok(Answer::ok(resend(app, &caller, &id, wanted, now).await.map_err(|error| counted(app, error, now))?.object))
        }
        _ => desk::answer(app, &caller, path == FORGET, request, now).await,
    }
}

/// A message was asked for, or had been asked for before.
struct Sent {
    id: String,
    object: Value,
    replayed: bool,
    /// The step to dispatch; nothing is to be dispatched for a repeated call whose message is on its way.
    step: Option<Step>,
    /// ISO 3166 alpha-2, for the metric.
    country: Option<String>,
    /// The recipient before this send, for taking it back.
    before: Recipient,
}

/// Why nothing was sent.
enum SendError {
    NotFound,
    NotPending,
    OtherBody,
    InProgress,
    NotServed(Problem),
    Limited(Box<Policy>, Limited, Timestamp),
    Store(StoreError),
    NotDispatched(String),
}

impl SendError {
    fn limited(policy: &Policy, limited: Limited, now: Timestamp) -> Self {
        Self::Limited(Box::new(policy.clone()), limited, now)
    }
}

/// `error`, counted if a limit refused.
fn counted(app: &App, error: SendError, now: Timestamp) -> SendError {
    if let SendError::Limited(_, limited, _) = &error {
        app.metrics.count(&Metric::Refusal { limit: limited.limit.name() }, now);
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
            SendError::NotFound => Self::new(Code::NotFound, "There is no verification with this id."),
            SendError::NotPending => Self::new(Code::NotPending, "Only a pending verification can be resent."),
            SendError::OtherBody => Self::new(Code::IdempotencyMismatch, "This Idempotency-Key came with another body for this recipient."),
            SendError::InProgress => Self::new(Code::InProgress, "A call with this Idempotency-Key is still under way; repeat it in a moment."),
            SendError::NotServed(problem) => problem,
            SendError::Limited(policy, limited, now) => Self::limited(limited, &policy, now),
            SendError::Store(error) => Self::unavailable(error.0),
            SendError::NotDispatched(cause) => Self::unavailable(cause),
        }
    }
}

/// One write opens the verification and counts the send; the other limits are passed; then its message is asked for.
async fn send(app: &App, caller: &str, wanted: &Wanted, idempotency: Option<(KeyHash, KeyHash)>, now: Timestamp) -> Result<Sent, SendError> {
    let policy = app.apps.policy(caller);
    let key = app.seal.recipient_key(caller, &wanted.to.canonical());
    let nonce: Nonce = random_bytes();
    let counters = limits::counters(app, caller, wanted.client_ip, (&wanted.to, wanted.channel), (key, &nonce), now);
    let mut under_way: Option<Nonce> = None;
    let mut rule = |recipient: &mut Recipient| {
        if let Some((key_hash, body_hash)) = idempotency
            && let Some((found, made_with)) = recipient.made_with(&key_hash, now)
        {
            if made_with != body_hash {
                return Err(SendError::OtherBody);
            }
            let nonce = found.terms().nonce;
            if limits::is_under_way(&found, now) {
                match under_way.replace(nonce) {
                    None => return Ok(Change::Keep(None)),
                    Some(before) if before != nonce => return Err(SendError::InProgress),
                    // Whoever made it will not go on with it.
                    Some(_) => {}
                }
            }
            return Ok(repeat(app, caller, &key, &nonce, recipient, now));
        }
        recipient.allow_send(policy, now).map_err(|limited| SendError::limited(policy, limited, now))?;
        let before = recipient.clone();
        let verification = opened(app, policy, wanted, recipient, (key, nonce, idempotency), now);
        let step = Some(verification.step);
        recipient.sealed_address = app.store.seal_address(&key, &wanted.to);
        recipient.address = Some(wanted.to.clone());
        recipient.open(verification, now);
        Ok(Change::Write(Some(shown(app, caller, &key, &nonce, recipient, Sent { step, before, ..Sent::nothing() }, now))))
    };
    let sent = match app.store.change(&key, caller, Begin::Blank, now, &mut rule).await? {
        Ok(None) => {
            tokio::time::sleep(limits::UNDER_WAY_WAIT).await;
            app.store.change(&key, caller, Begin::Read, now, &mut rule).await?
        }
        sent => sent,
    };
    match sent {
        Ok(Some(sent)) => hand_on(app, caller, &key, sent, &counters, now).await,
        Ok(None) => Err(SendError::InProgress),
        Err(refusal) => Err(limits::last_to_end(app, &counters, refusal, now).await),
    }
}

/// The same call again: the verification as it is now. A message that nobody has taken yet may never have been enqueued,
/// so it is asked for once more, under a new sequence number, which also keeps the first call from taking it back.
fn repeat(app: &App, caller: &str, key: &RecipientKey, nonce: &Nonce, recipient: &mut Recipient, now: Timestamp) -> Change<Option<Sent>> {
    let before = recipient.clone();
    let verification = recipient.verification.as_mut().filter(|v| v.terms.nonce == *nonce && v.is_untouched() && v.status(now) == Status::Pending);
    let step = verification.map(|verification| {
        verification.step.sequence = verification.step.sequence.saturating_add(1);
        verification.step
    });
    let sent = shown(app, caller, key, nonce, recipient, Sent { step, before, replayed: true, ..Sent::nothing() }, now);
    let sent = Some(sent);
    if step.is_some() { Change::Write(sent) } else { Change::Keep(sent) }
}

/// A further message of a pending verification.
async fn resend(app: &App, caller: &str, id: &str, wanted: WantedResend, now: Timestamp) -> Result<Sent, SendError> {
    let policy = app.apps.policy(caller);
    let (key, nonce) = app.seal.open_verification_id(caller, id).ok_or(SendError::NotFound)?;
    let mut counters = vec![];
    let rule = |recipient: &mut Recipient| {
        let before = recipient.clone();
        let verification = match recipient.find(&nonce, now) {
            Some(Found::Now(verification)) if verification.status(now) == Status::Pending => verification,
            Some(_) => return Err(SendError::NotPending),
            None => return Err(SendError::NotFound),
        };
        let channel = wanted.channel.unwrap_or(verification.terms.channel);
        let to = recipient.address.as_ref().ok_or(SendError::NotPending)?;
        wanted::check_channel(app, channel, to, "channel").and_then(|()| wanted::check_line(channel, to)).map_err(SendError::NotServed)?;
        counters = limits::counters(app, caller, wanted.client_ip, (to, channel), (key, &nonce), now);
        let fresh = makes_fresh_code(policy).then(|| fresh_code(app, policy, recipient, &key, verification));
        recipient.allow_send(policy, now).map_err(|limited| SendError::limited(policy, limited, now))?;
        recipient.resend(channel, random_bytes(), fresh, now);
        let step = recipient.verification.as_mut().map(|verification| {
            hold_for_publishing(app, verification, now);
            verification.step
        });
        Ok(Change::Write(shown(app, caller, &key, &nonce, recipient, Sent { step, before, ..Sent::nothing() }, now)))
    };
    match app.store.change(&key, caller, Begin::Read, now, rule).await? {
        Ok(sent) => hand_on(app, caller, &key, sent, &counters, now).await,
        Err(refusal) => Err(limits::last_to_end(app, &counters, refusal, now).await),
    }
}

impl Sent {
    fn nothing() -> Self {
        Self { id: String::new(), object: Value::Null, replayed: false, step: None, country: None, before: Recipient::default() }
    }
}

/// `sent` with the verification as its caller sees it.
fn shown(app: &App, caller: &str, key: &RecipientKey, nonce: &Nonce, recipient: &Recipient, sent: Sent, now: Timestamp) -> Sent {
    let id = app.seal.verification_id(caller, key, nonce);
    let policy = app.apps.policy(caller);
    // One that was made with an Idempotency-Key is remembered for longer than it can be read by its id.
    let remembered = || recipient.ended.iter().find(|ended| ended.terms.nonce == *nonce).map(Found::Before);
    let found = recipient.find(nonce, now).or_else(remembered);
    let object = found.map(|found| view::verification(&id, recipient, found, policy, now)).unwrap_or_default();
    let country = recipient.address.as_ref().and_then(Address::country).map(str::to_owned);
    Sent { id, object, country, ..sent }
}

type Names = (RecipientKey, Nonce, Option<(KeyHash, KeyHash)>);

fn opened(app: &App, policy: &Policy, wanted: &Wanted, recipient: &Recipient, (key, nonce, idempotency): Names, now: Timestamp) -> Verification {
    let length = recipient.code_length(wanted.code_length.unwrap_or(policy.code_length));
    let code = OneTimeCode::generate(policy.code_alphabet, length, &mut entropy());
    let locale = message::negotiate(wanted.locale.as_deref(), wanted.to.country(), &policy.locale);
    let terms = Terms {
        nonce,
        channel: wanted.channel,
        fallback: wanted.fallback.clone(),
        locale: locale.tag().to_owned(),
        purpose: wanted.purpose.clone(),
        transaction: wanted.transaction.clone(),
        reference: wanted.reference.clone(),
        idempotency,
        created_at: now,
        expires_at: now.plus(wanted.ttl_seconds.unwrap_or(policy.code_ttl_seconds)),
        attempts_max: recipient.attempts_allowed(policy, now),
    };
    let sealed_code = app.store.seal_code(&key, &nonce, &code);
    let expected = app.seal.attempt_hash(&nonce, &terms.purpose, terms.transaction.as_ref(), code.reveal());
    let step = Step { sequence: 1, due: now, held_until: Timestamp(0), holder: Holder::default(), rounds: 0 };
    let mut verification = Verification {
        terms,
        attempts: vec![],
        attempts_settled: 0,
        attempts_forgiven: 0,
        is_openable: true,
        sealed_code,
        expected,
        canceled_at: None,
        deliveries: vec![],
        fallbacks_used: 0,
        step,
    };
    verification.add_delivery(wanted.channel, Cause::Asked, random_bytes(), now);
    hold_for_publishing(app, &mut verification, now);
    verification
}

fn fresh_code(app: &App, policy: &Policy, recipient: &Recipient, key: &RecipientKey, verification: &Verification) -> FreshCode {
    let terms = &verification.terms;
    let code = app.store.open_code(key, verification);
    let length = code.map_or(policy.code_length, |code| u8::try_from(code.reveal().len()).unwrap_or(u8::MAX));
    let code = OneTimeCode::generate(policy.code_alphabet, recipient.code_length(length), &mut entropy());
    let sealed_code = app.store.seal_code(key, &terms.nonce, &code);
    let expected = app.seal.attempt_hash(&terms.nonce, &terms.purpose, terms.transaction.as_ref(), code.reveal());
    FreshCode { sealed_code, expected }
}

/// Where this function publishes itself, no worker may.
fn hold_for_publishing(app: &App, verification: &mut Verification, now: Timestamp) {
    if matches!(app.handover, Handover::Sns(_)) {
        verification.step.held_until = now.plus(PUBLISH_SECONDS);
        verification.step.holder = random_bytes();
    }
}

/// Counts the send that was written in all `counters` and asks for its message. If it may not go, or if nobody can be
/// asked, it is taken back and the caller told. A repeated call was counted when it was new.
async fn hand_on(app: &App, caller: &str, key: &RecipientKey, mut sent: Sent, counters: &[Counter], now: Timestamp) -> Result<Sent, SendError> {
    let Some(step) = sent.step else { return Ok(sent) };
    let taken = match limits::take(app, caller, if sent.replayed { &[] } else { counters }, now).await {
        Ok(taken) => taken,
        Err(refusal) => {
            limits::take_back(app, caller, key, step, sent, now).await;
            return Err(refusal);
        }
    };
    let handed = match &app.handover {
        Handover::Queue(queue) => queue.enqueue(&Dispatch::new(caller, sent.id.clone(), step.sequence), 0).await.map_err(|error| error.0),
        Handover::Sns(sns) => match publish(app, sns, caller, key, &sent.id, now).await? {
            Published::Recorded(recipient) => {
                if let Some((_, nonce)) = app.seal.open_verification_id(caller, &sent.id) {
                    sent = shown(app, caller, key, &nonce, &recipient, sent, now);
                }
                Ok(())
            }
            Published::Refused => Err("SNS did not take the message".into()),
        },
    };
    let Err(cause) = handed else {
        if !sent.replayed {
            app.metrics.count(&Metric::Send { country: sent.country.as_deref() }, now);
        }
        return Ok(sent);
    };
    if !sent.replayed {
        limits::give_back(app, &taken, now).await;
        limits::take_back(app, caller, key, step, sent, now).await;
    }
    Err(SendError::NotDispatched(cause))
}
