//! send: opens a verification and asks for its first message; resends; and the support desk's unlock and forget.
//! One write decides; only then is a message asked for. Must never answer 201 for a message that nobody will be asked to send.

mod desk;
mod wanted;

use std::sync::Arc;

use lambda_http::http::Method;
use lambda_http::{Body, Request, Response};
use otp::address::Address;
use otp::ambient::{Clock, entropy, random_bytes};
use otp::aws::Service;
use otp::carrier::{self, CarrierSettings, Outgoing, Receipt, sns::Sns};
use otp::code::Code as OneTimeCode;
use otp::config::{ApiKeys, Apps, Config, DispatchMode};
use otp::delivery::{Cause, Channel, DeliveryStatus};
use otp::http::{self, Answer, Code, Problem, Route};
use otp::metrics::{self, Metric};
use otp::policy::Policy;
use otp::queue::{Dispatch, Queue};
use otp::recipient::{Found, FreshCode, Limited, Recipient, makes_fresh_code};
use otp::seal::{RecipientKey, Seal};
use otp::store::{Begin, Change, Claim, StepResult, Store, StoreError};
use otp::timestamp::Timestamp;
use otp::verification::{Holder, KeyHash, Nonce, Status, Step, Terms, Verification};
use otp::{json, message, view};
use serde_json::Value;

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
    pub fn new(config: Config, clock: Clock) -> Self {
        let store = Store::new(&config.aws.config(Service::DynamoDb), config.table, config.seal.clone());
        let handover = match config.dispatch {
            DispatchMode::Queue => Handover::Queue(Queue::new(&config.aws.config(Service::Sqs), config.queue_url)),
            DispatchMode::Sns => Handover::Sns(Sns::new(&config.aws.config(Service::Sns))),
        };
        Self { store, handover, seal: config.seal, apps: config.apps, api_keys: config.api_keys, carriers: config.carriers, clock }
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
            let sent = send(app, &caller, &wanted, idempotency, now).await?;
            Ok(Answer::created(sent.object, format!("{VERIFICATIONS}/{}", sent.id)).replayed(sent.replayed))
        }
        RESEND => {
            let wanted = wanted::read_resend(http::optional_json_body(request)?)?;
            let id = values.into_iter().next().unwrap_or_default();
            Ok(Answer::ok(resend(app, &caller, &id, wanted, now).await?.object))
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
    NotServed(Problem),
    Limited(Box<Policy>, Limited, Timestamp),
    Store(StoreError),
    NotDispatched(String),
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
            SendError::NotServed(problem) => problem,
            SendError::Limited(policy, limited, now) => Self::limited(limited, &policy, now),
            SendError::Store(error) => Self::unavailable(error.0),
            SendError::NotDispatched(cause) => Self::unavailable(cause),
        }
    }
}

/// One write opens the verification and counts the send; then its message is asked for.
async fn send(app: &App, caller: &str, wanted: &Wanted, idempotency: Option<(KeyHash, KeyHash)>, now: Timestamp) -> Result<Sent, SendError> {
    let policy = app.apps.policy(caller);
    let key = app.seal.recipient_key(caller, &wanted.to.canonical());
    let nonce: Nonce = random_bytes();
    let rule = |recipient: &mut Recipient| {
        if let Some((key_hash, body_hash)) = idempotency
            && let Some((found, made_with)) = recipient.made_with(&key_hash, now)
        {
            if made_with != body_hash {
                return Err(SendError::OtherBody);
            }
            let nonce = found.terms().nonce;
            return Ok(repeat(app, caller, &key, &nonce, recipient, now));
        }
        recipient.allow_send(policy, now).map_err(|limited| SendError::Limited(Box::new(policy.clone()), limited, now))?;
        let before = recipient.clone();
        let verification = opened(app, policy, wanted, recipient, (key, nonce, idempotency), now);
        let step = Some(verification.step);
        recipient.sealed_address = app.store.seal_address(&key, &wanted.to);
        recipient.address = Some(wanted.to.clone());
        recipient.open(verification, now);
        Ok(Change::Write(shown(app, caller, &key, &nonce, recipient, Sent { step, before, ..Sent::nothing() }, now)))
    };
    let sent = app.store.change(&key, caller, Begin::Blank, now, rule).await??;
    hand_on(app, caller, &key, sent, now).await
}

/// The same call again: the verification as it is now. A message that nobody has taken yet may never have been enqueued,
/// so it is asked for once more, under a new sequence number, which also keeps the first call from taking it back.
fn repeat(app: &App, caller: &str, key: &RecipientKey, nonce: &Nonce, recipient: &mut Recipient, now: Timestamp) -> Change<Sent> {
    let before = recipient.clone();
    let verification = recipient.verification.as_mut().filter(|v| v.terms.nonce == *nonce && v.is_untouched() && v.status(now) == Status::Pending);
    let step = verification.map(|verification| {
        verification.step.sequence = verification.step.sequence.saturating_add(1);
        verification.step
    });
    let sent = shown(app, caller, key, nonce, recipient, Sent { step, before, replayed: true, ..Sent::nothing() }, now);
    if step.is_some() { Change::Write(sent) } else { Change::Keep(sent) }
}

/// A further message of a pending verification.
async fn resend(app: &App, caller: &str, id: &str, wanted: WantedResend, now: Timestamp) -> Result<Sent, SendError> {
    let policy = app.apps.policy(caller);
    let (key, nonce) = app.seal.open_verification_id(caller, id).ok_or(SendError::NotFound)?;
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
        let fresh = makes_fresh_code(policy).then(|| fresh_code(app, policy, recipient, &key, verification));
        recipient.allow_send(policy, now).map_err(|limited| SendError::Limited(Box::new(policy.clone()), limited, now))?;
        recipient.resend(channel, random_bytes(), fresh, now);
        let step = recipient.verification.as_mut().map(|verification| {
            hold_for_publishing(app, verification, now);
            verification.step
        });
        Ok(Change::Write(shown(app, caller, &key, &nonce, recipient, Sent { step, before, ..Sent::nothing() }, now)))
    };
    let sent = app.store.change(&key, caller, Begin::Read, now, rule).await??;
    hand_on(app, caller, &key, sent, now).await
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

/// Asks for the message that was written. If nobody can be asked, the send is taken back and the caller told.
async fn hand_on(app: &App, caller: &str, key: &RecipientKey, mut sent: Sent, now: Timestamp) -> Result<Sent, SendError> {
    let Some(step) = sent.step else { return Ok(sent) };
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
            metrics::count(&Metric::Send { country: sent.country.as_deref() }, now);
        }
        return Ok(sent);
    };
    if !sent.replayed {
        take_back(app, caller, key, step, sent, now).await;
    }
    Err(SendError::NotDispatched(cause))
}

/// Undoes a send that nobody could be asked to deliver, unless somebody has built on it: a repeated call that was answered,
/// or a worker that got the dispatch although its sender was not told so.
async fn take_back(app: &App, caller: &str, key: &RecipientKey, step: Step, sent: Sent, now: Timestamp) {
    let Some((_, nonce)) = app.seal.open_verification_id(caller, &sent.id) else { return };
    let rule = |recipient: &mut Recipient| {
        // A report of an earlier message may have made the next step due: that builds on nothing.
        let is_ours = |v: &Verification| v.terms.nonce == nonce && Step { due: step.due, ..v.step } == step;
        let is_ours = recipient.verification.as_ref().is_some_and(is_ours);
        if is_ours {
            recipient.take_back(&sent.before);
        }
        Ok::<_, std::convert::Infallible>(if is_ours { Change::Write(()) } else { Change::Keep(()) })
    };
    if let Err(error) = app.store.change(key, caller, Begin::Read, now, rule).await {
        tracing::error!(error.kind = "not_taken_back", error.cause = error.0, "a send that was not dispatched stays counted");
    }
}

enum Published {
    Recorded(Box<Recipient>),
    Refused,
}

/// `OTP_DISPATCH=sns`: hands the latest message over from here and records what became of it.
async fn publish(app: &App, sns: &Sns, caller: &str, key: &RecipientKey, id: &str, now: Timestamp) -> Result<Published, SendError> {
    let (policy, recipient) = (app.apps.policy(caller), app.store.read(key, now).await?.unwrap_or_default());
    let (Some(verification), Some(to)) = (&recipient.verification, &recipient.address) else { return Err(SendError::NotFound) };
    let Some(delivery) = verification.deliveries.last() else { return Err(SendError::NotFound) };
    let carrier = app.carriers.iter().find(|carrier| carrier.serves(delivery.channel, to));
    let (Some(carrier), Some(code)) = (carrier, app.store.open_code(key, verification)) else { return Ok(Published::Refused) };
    let text = carrier::compose(policy, verification, &code, delivery.channel, now);
    let sender = carrier.sender_for(policy, to);
    let message = Outgoing {
        to,
        sender: sender.as_deref(),
        channel: delivery.channel,
        message: &text,
        code: code.reveal(),
        locale: &verification.terms.locale,
        reference: &app.seal.reference(key, &delivery.tag),
        validity_seconds: verification.terms.expires_at.since(now),
        callback_url: "",
    };
    let status = match tokio::time::timeout(carrier.timeout, sns.publish(&message)).await.unwrap_or(Receipt::Unknown) {
        Receipt::Accepted => DeliveryStatus::Sent,
        Receipt::Permanent => DeliveryStatus::Rejected,
        Receipt::Unknown => DeliveryStatus::Unknown,
        receipt @ (Receipt::Transient { .. } | Receipt::Misconfigured) => {
            tracing::error!(verification.id = &id[..8], error.kind = ?receipt, "SNS did not take a message");
            return Ok(Published::Refused);
        }
    };
    let step = verification.step;
    let claim = Claim { key: *key, nonce: verification.terms.nonce, sequence: step.sequence, held_until: step.held_until, holder: step.holder };
    let result = StepResult { delivery: Some((delivery.tag, status, Some(carrier.name.clone()))), due: None, rounds: 0 };
    Ok(match app.store.end_step(&claim, &result, now).await? {
        otp::store::Written::Done(recipient) | otp::store::Written::Refused(Some(recipient)) => Published::Recorded(Box::new(recipient)),
        otp::store::Written::Refused(None) => Published::Recorded(Box::new(recipient)),
    })
}
