//! send: opens verifications and resends their messages; unlocks, forgets,
//! releases and looks up recipients.

mod twilio;

use lambda_http::http::Method;
use lambda_http::{Body, Request, Response};
use otp::api::authorization::authorize;
use otp::api::deadline::{answer_in_time, deadline_of};
use otp::api::problem::Problem;
use otp::api::request::{json_body, request_id};
use otp::api::request_log::RequestLog;
use otp::api::response::{Success, respond};
use otp::api::routing::{BasePath, Route, route};
use otp::api::twilio::path::path_of;
use otp::api::v1::errors::{not_found, send_problem};
use otp::api::v1::recipient::{read_to, render_lookup};
use otp::api::v1::send::{read_resend, read_send, render_sent};
use otp::config::{ApiKeys, SendConfig};
use otp::domain::time::Timestamp;
use otp::platform::clock::Clock;
use otp::platform::deadline::Deadline;
use otp::platform::metrics::{Metric, Metrics};
use otp::service::sending::{SendError, Sending};
use otp::service::{recipients, resend, send};
use serde_json::json;

/// What the function keeps between invocations.
pub struct State {
    sending: Sending,
    api_keys: ApiKeys,
    base: BasePath,
    public_url: Option<String>,
    clock: Clock,
    metrics: Metrics,
}

const SEND: &str = "/v1/verifications";
const RESEND: &str = "/v1/verifications/{}/resend";
const UNLOCK: &str = "/v1/recipients/unlock";
const FORGET: &str = "/v1/recipients/forget";
const RELEASE: &str = "/v1/recipients/release";
const LOOKUP: &str = "/v1/recipients/lookup";

static ROUTES: &[Route] = &[
    Route {
        path: SEND,
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
    Route {
        path: RELEASE,
        methods: &[Method::POST],
    },
    Route {
        path: LOOKUP,
        methods: &[Method::POST],
    },
];

impl State {
    /// From the configuration.
    #[must_use]
    pub fn new(mut config: SendConfig, clock: Clock, metrics: Metrics) -> Self {
        let api_keys = std::mem::take(&mut config.api_keys);
        let public_url = config.public_url.clone();
        let base = BasePath::of(public_url.as_deref());
        let sending = Sending::new(config, clock.clone(), metrics.clone());
        Self {
            sending,
            api_keys,
            base,
            public_url,
            clock,
            metrics,
        }
    }

    /// Does during init what the first request would wait for.
    pub async fn warm_up(&self) {
        self.sending.warm_up().await;
    }
}

/// Answers one request.
pub async fn handle(state: &State, request: &Request) -> Response<Body> {
    let mut log = RequestLog::new("send", request_id(request));
    let deadline = deadline_of(request, &state.clock);
    if let Some(path) = path_of(request, &state.base) {
        return twilio::handle(state, request, path, &mut log, deadline).await;
    }
    let answer = answer(state, request, &mut log, deadline);
    let result = answer_in_time(deadline, answer).await;
    respond(&log, request, result)
}

async fn answer(
    state: &State,
    request: &Request,
    log: &mut RequestLog,
    deadline: Deadline,
) -> Result<Success, Problem> {
    let matched = route(request, ROUTES, &state.base)?;
    let app = authorize(request, &state.api_keys)?;
    log.set_app(&app);
    let now = state.clock.now();
    match matched.route {
        SEND => open(state, request, &matched.base, &app, log, deadline, now).await,
        RESEND => {
            let id = matched.values.into_iter().next().unwrap_or_default();
            send_again(state, request, &app, &id, log, deadline, now).await
        }
        path => serve_support_desk(state, request, path, &app, now).await,
    }
}

async fn serve_support_desk(
    state: &State,
    request: &Request,
    path: &str,
    app: &str,
    now: Timestamp,
) -> Result<Success, Problem> {
    let sending = &state.sending;
    let to = read_to(json_body(request)?)?;
    let done = match path {
        UNLOCK => recipients::unlock(sending, app, &to, now).await,
        FORGET => recipients::forget(sending, app, &to, now).await,
        RELEASE => recipients::release(sending, app, &to, now).await,
        _ => {
            let found = recipients::lookup(sending, app, &to, now).await;
            let found = found.map_err(|error| Problem::unavailable(&error))?;
            let policy = sending.apps.policy(app);
            return Ok(Success::ok(&render_lookup(&to, &found, policy, now)));
        }
    };
    done.map_err(|error| Problem::unavailable(&error))?;
    Ok(Success::ok(&json!({"to": to.reveal()})))
}

async fn open(
    state: &State,
    request: &Request,
    base: &str,
    app: &str,
    log: &mut RequestLog,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Success, Problem> {
    let sending = &state.sending;
    let policy = sending.apps.policy(app);
    let request = read_send(request, &sending.keyring, app, policy)?;
    let sent = send::send(sending, app, &request, deadline, now).await;
    let sent = sent.map_err(|error| problem(state, &error, app, now))?;
    log.set_verification(sent.id);
    let location = format!("{base}{SEND}/{}", sent.id);
    let body = render_sent(&sent, policy, now)?;
    Ok(Success::created(&body, location).replayed(sent.is_replay))
}

async fn send_again(
    state: &State,
    request: &Request,
    app: &str,
    id: &str,
    log: &mut RequestLog,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Success, Problem> {
    let sending = &state.sending;
    let request = read_resend(request)?;
    let id = id.parse().map_err(|_| not_found())?;
    log.set_verification(id);
    let sent = resend::resend(sending, app, id, &request, deadline, now).await;
    let sent = sent.map_err(|error| problem(state, &error, app, now))?;
    Ok(Success::ok(&render_sent(
        &sent,
        sending.apps.policy(app),
        now,
    )?))
}

/// The problem document of `error`. A rejection by a limit is counted.
fn problem(state: &State, error: &SendError, app: &str, now: Timestamp) -> Problem {
    count_rejection(state, error, now);
    send_problem(error, &state.sending.apps, app, now)
}

fn count_rejection(state: &State, error: &SendError, now: Timestamp) {
    if let SendError::LimitExceeded(exceeded) = error {
        let limit = exceeded.limit.name();
        state.metrics.count(&Metric::Refusal { limit }, now);
    }
}
