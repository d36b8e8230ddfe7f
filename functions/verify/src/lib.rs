//! verify: checks a code, shows a verification, cancels it. One write for a check, whatever its outcome.
//! Must never compare what it did not write, nor tell which part of an attempt was wrong.

use std::sync::Arc;

use lambda_http::http::Method;
use lambda_http::{Body, Request, Response};

use otp::api::authorization::authorize;
use otp::api::problem::{ErrorCode, Problem};
use otp::api::request;
use otp::api::response::Success;
use otp::api::response::respond;
use otp::api::routing::{Route, route};
use otp::api::v1::fields;
use otp::api::v1::verification::render;
use otp::config::{ApiKeys, Apps, Config};
use otp::crypto::seal::{Keyring, RecordKey};
use otp::domain::address::Address;
use otp::domain::code::Code as OneTimeCode;
use otp::domain::recipient::Recipient;
use otp::domain::time::Timestamp;
use otp::domain::verification::{Attempt, AttemptHash, Nonce, Outcome, Transaction};
use otp::domain::verification_ref::VerificationRef;
use otp::platform::clock::Clock;
use otp::platform::json::Fields;
use otp::platform::metrics::{Metric, Metrics};
use otp::platform::random::random_bytes;
use otp::store::{Begin, Change, DEFAULT_PURPOSE, Store, StoreError, Written};
use serde_json::{Value, json};

/// What the function holds between invocations.
pub struct App {
    store: Store,
    seal: Arc<Keyring>,
    apps: Apps,
    api_keys: ApiKeys,
    clock: Clock,
    metrics: Metrics,
}

const VERIFICATION: &str = "/v1/verifications/{}";
const CHECK: &str = "/v1/verifications/{}/check";
const HEALTH: &str = "/healthz";

static ROUTES: &[Route] = &[
    Route {
        path: VERIFICATION,
        methods: &[Method::GET, Method::DELETE],
    },
    Route {
        path: CHECK,
        methods: &[Method::POST],
    },
    Route {
        path: HEALTH,
        methods: &[Method::GET],
    },
];

impl App {
    /// From the function's configuration.
    #[must_use]
    pub fn new(config: Config, clock: Clock, metrics: Metrics) -> Self {
        let store = Store::new(
            &config.aws.config(otp::platform::aws::Service::DynamoDb),
            config.table,
            config.seal.clone(),
        );
        Self {
            store,
            seal: config.seal,
            apps: config.apps,
            api_keys: config.api_keys,
            clock,
            metrics,
        }
    }

    /// What the first call would wait for, done during init.
    pub async fn warm_up(&self) {
        self.store.warm_up().await;
    }
}

/// HTTP in, answer out, logged once.
pub async fn handle(app: &App, request: &Request) -> Response<Body> {
    let request_id = request::request_id(request);
    let outcome = answer(app, request).await;
    respond("verify", &request_id, outcome)
}

async fn answer(app: &App, request: &Request) -> Result<Success, Problem> {
    let (path, values) = route(request, ROUTES)?;
    if path == HEALTH {
        return Ok(Success::ok(&json!({"status": "ok"})));
    }
    let caller = authorize(request, &app.api_keys)?;
    let now = app.clock.now();
    let id = values.into_iter().next().unwrap_or_default();
    let named = app.seal.open_verification_id(&caller, &id);
    match (path, request.method()) {
        (CHECK, _) => {
            let check = read_check(app, &caller, request)?;
            let (key, nonce) = named.ok_or_else(not_found)?;
            let outcome = verify(app, &key, &nonce, &check, now).await?;
            Ok(Success::ok(&check_body(&id, &check, &outcome)).replayed(outcome.replayed))
        }
        (_, &Method::DELETE) => {
            let (key, nonce) = named.ok_or_else(not_found)?;
            Ok(Success::ok(
                &cancel(app, &caller, &id, &key, &nonce, now).await?,
            ))
        }
        _ => {
            let (key, nonce) = named.ok_or_else(not_found)?;
            let recipient = app
                .store
                .read(&key, now)
                .await
                .map_err(CheckError::from)?
                .unwrap_or_default();
            let found = recipient.find(&nonce, now).ok_or(CheckError::NotFound)?;
            Ok(Success::ok(&render(
                &id,
                &recipient,
                found,
                app.apps.policy(&caller),
                now,
            )))
        }
    }
}

/// A check as it was asked for.
struct Check {
    code: OneTimeCode,
    purpose: String,
    transaction: Option<Transaction>,
    idempotency_key: Option<String>,
}

/// What a check found, and about whom.
struct Checked {
    outcome: Outcome,
    replayed: bool,
    channel: &'static str,
    to: Option<String>,
}

/// Why there is no outcome.
enum CheckError {
    NotFound,
    NotPending,
    OtherBody,
    Store(StoreError),
}

impl From<StoreError> for CheckError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CheckError> for Problem {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::NotFound => not_found(),
            CheckError::NotPending => Self::new(
                ErrorCode::NotPending,
                "Only a pending verification can be canceled.",
            ),
            CheckError::OtherBody => Self::new(
                ErrorCode::IdempotencyMismatch,
                "This Idempotency-Key came with another code, purpose or transaction.",
            ),
            CheckError::Store(error) => Self::unavailable(error.0),
        }
    }
}

/// One attempt: charged by one write, decided by what came back.
async fn verify(
    app: &App,
    key: &RecordKey,
    nonce: &Nonce,
    check: &Check,
    now: Timestamp,
) -> Result<Checked, CheckError> {
    let hash = app.seal.attempt_hash(
        nonce,
        &check.purpose,
        check.transaction.as_ref(),
        check.code.reveal(),
    );
    let name = check
        .idempotency_key
        .as_deref()
        .map(|k| app.seal.attempt_nonce(nonce, k))
        .unwrap_or_else(|| random_bytes::<8>().to_vec());
    let attempt = Attempt {
        nonce: name,
        hash,
        at: now,
        invocation: random_bytes(),
    };
    match app.store.attempt(key, nonce, &attempt, now).await? {
        Written::Refused(None) => Err(CheckError::NotFound),
        Written::Done(recipient) | Written::Refused(Some(recipient)) => {
            judged(app, &recipient, nonce, &attempt, now)
        }
    }
}

fn judged(
    app: &App,
    recipient: &Recipient,
    nonce: &Nonce,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<Checked, CheckError> {
    let found = recipient.find(nonce, now).ok_or(CheckError::NotFound)?;
    // The attempt of this name that is in the log: this one, the SDK's repetition of it, or an earlier call with the same key.
    let (logged, outcome): (Option<(AttemptHash, bool)>, Outcome) = match found {
        VerificationRef::Current(verification) => {
            let logged = verification
                .attempts
                .iter()
                .find(|logged| logged.nonce == attempt.nonce);
            (
                logged.map(|l| (l.hash, l.invocation == attempt.invocation)),
                verification.outcome(&attempt.nonce, now),
            )
        }
        VerificationRef::Past(ended) => {
            let answered = ended
                .answers
                .iter()
                .find(|answer| answer.nonce == attempt.nonce);
            (
                answered.map(|a| (a.hash, false)),
                ended.outcome(&attempt.nonce),
            )
        }
    };
    if logged.is_some_and(|(hash, _)| hash != attempt.hash) {
        return Err(CheckError::OtherBody);
    }
    let replayed = logged.is_some_and(|(_, own)| !own);
    let approved_after = outcome
        .reason
        .is_none()
        .then(|| now.seconds_since(found.params().created_at));
    if !replayed {
        let country = recipient.address.as_ref().and_then(Address::country);
        app.metrics.count(
            &approved_after.map_or(Metric::Check, |seconds| Metric::Approval {
                country,
                seconds,
            }),
            now,
        );
    }
    let to = recipient
        .address
        .as_ref()
        .map(|address| address.reveal().to_owned());
    Ok(Checked {
        outcome,
        replayed,
        channel: found.params().channel.name(),
        to,
    })
}

/// Ends a pending verification at the caller's wish.
async fn cancel(
    app: &App,
    caller: &str,
    id: &str,
    key: &RecordKey,
    nonce: &Nonce,
    now: Timestamp,
) -> Result<Value, CheckError> {
    let policy = app.apps.policy(caller);
    let rule = |recipient: &mut Recipient| {
        let is_of_now = matches!(
            recipient.find(nonce, now).ok_or(CheckError::NotFound)?,
            VerificationRef::Current(_)
        );
        if !is_of_now || !recipient.cancel(now) {
            return Err(CheckError::NotPending);
        }
        let found = recipient.find(nonce, now).ok_or(CheckError::NotFound)?;
        Ok(Change::Write(render(id, recipient, found, policy, now)))
    };
    app.store
        .change(key, caller, Begin::Read, now, rule)
        .await?
}

fn read_check(app: &App, caller: &str, request: &Request) -> Result<Check, Problem> {
    let mut fields = Fields::of(request::json_body(request)?);
    let typed = fields.required_text("code");
    let purpose = fields
        .word("purpose", fields::purpose, fields::PURPOSE_WORDS)
        .unwrap_or_else(|| DEFAULT_PURPOSE.into());
    let transaction = fields::transaction(&mut fields);
    fields.finish().map_err(Problem::invalid)?;
    let idempotency_key = request::idempotency_key(request)?;
    let code = OneTimeCode::parse(&typed, app.apps.policy(caller).code_alphabet);
    let code = code.ok_or_else(|| {
        Problem::field(
            ErrorCode::InvalidCode,
            "code",
            "Must be 4 to 10 characters of this app's code alphabet.",
        )
    })?;
    Ok(Check {
        code,
        purpose,
        transaction,
        idempotency_key,
    })
}

fn check_body(id: &str, check: &Check, checked: &Checked) -> Value {
    let outcome = checked.outcome;
    // The purpose is the one that was presented: the verification's own would tell what was wrong.
    json!({
        "id": id,
        "valid": outcome.reason.is_none(),
        "status": outcome.status.name(),
        "attempts_left": outcome.attempts_left,
        "reason": outcome.reason.map(otp::domain::verification::Reason::name),
        "purpose": check.purpose,
        "channel": checked.channel,
        "to": checked.to,
    })
}

fn not_found() -> Problem {
    Problem::new(
        ErrorCode::NotFound,
        "There is no verification with this id.",
    )
}
