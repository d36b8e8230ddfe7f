//! verify: checks codes, shows and cancels verifications, names the app of a key. It also responds
//! to `/healthz` and to every path without a route.

mod twilio;

use lambda_http::http::Method;
use lambda_http::{Body, Request, Response};
use otp::api::authorization::authorize;
use otp::api::deadline::{answer_in_time, deadline_of};
use otp::api::problem::Problem;
use otp::api::request::request_id;
use otp::api::request_log::RequestLog;
use otp::api::response::{Success, respond};
use otp::api::routing::{BasePath, Route, route};
use otp::api::twilio::path::path_of;
use otp::api::v1::app::render_app;
use otp::api::v1::check::{read_check, render_check};
use otp::api::v1::errors::{not_found, verify_problem};
use otp::api::v1::verification::render;
use otp::config::{ApiKeys, VerifyConfig};
use otp::domain::ids::VerificationId;
use otp::platform::clock::Clock;
use otp::platform::metrics::Metrics;
use otp::service::check::check;
use otp::service::target::Target;
use otp::service::verifying::Verifying;
use otp::service::{cancel, show};
use serde_json::json;

/// What the function keeps between invocations.
pub struct State {
    verifying: Verifying,
    api_keys: ApiKeys,
    base: BasePath,
    public_url: Option<String>,
    clock: Clock,
}

const VERIFICATION: &str = "/v1/verifications/{}";
const CHECK: &str = "/v1/verifications/{}/check";
const APP: &str = "/v1/app";
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
        path: APP,
        methods: &[Method::GET],
    },
    Route {
        path: HEALTH,
        methods: &[Method::GET],
    },
];

impl State {
    /// From the configuration.
    #[must_use]
    pub fn new(mut config: VerifyConfig, clock: Clock, metrics: Metrics) -> Self {
        let api_keys = std::mem::take(&mut config.api_keys);
        let public_url = config.public_url.clone();
        let base = BasePath::of(public_url.as_deref());
        Self {
            verifying: Verifying::new(config, metrics),
            api_keys,
            base,
            public_url,
            clock,
        }
    }

    /// Does during init what the first request would wait for.
    pub async fn warm_up(&self) {
        self.verifying.store.warm_up().await;
    }
}

/// Answers one request.
pub async fn handle(state: &State, request: &Request) -> Response<Body> {
    let mut log = RequestLog::new("verify", request_id(request));
    let deadline = deadline_of(request, &state.clock);
    if let Some(path) = path_of(request, &state.base) {
        return twilio::handle(state, request, path, &mut log, deadline).await;
    }
    let result = answer_in_time(deadline, answer(state, request, &mut log)).await;
    respond(&log, request, result)
}

async fn answer(
    state: &State,
    request: &Request,
    log: &mut RequestLog,
) -> Result<Success, Problem> {
    let matched = route(request, ROUTES, &state.base)?;
    if matched.route == HEALTH {
        return Ok(Success::ok(&json!({"status": "ok"})));
    }
    let verifying = &state.verifying;
    let app = authorize(request, &state.api_keys)?;
    log.set_app(&app);
    let (policy, now) = (verifying.apps.policy(&app), state.clock.now());
    if matched.route == APP {
        return Ok(Success::ok(&render_app(&app, policy, &verifying.keyring)));
    }
    let id = matched.values.into_iter().next().unwrap_or_default();
    let id = id.parse::<VerificationId>().map_err(|_| not_found());
    if let Ok(id) = &id {
        log.set_verification(*id);
    }
    if matched.route == CHECK {
        let request = read_check(request, policy)?;
        let id = id?;
        let checked = check(verifying, &app, &Target::Id(id), &request, now).await;
        let checked = checked.map_err(|error| verify_problem(&error))?;
        let body = render_check(id, &request, &checked, now)?;
        return Ok(Success::ok(&body).replayed(checked.is_replay));
    }
    let id = id?;
    let target = Target::Id(id);
    let shown = match *request.method() {
        Method::DELETE => cancel::cancel(verifying, &app, &target, now).await,
        _ => show::show(verifying, &app, &target, now).await,
    };
    let shown = shown.map_err(|error| verify_problem(&error))?;
    let verification = shown
        .recipient
        .find(shown.nonce, now)
        .ok_or_else(not_found)?;
    Ok(Success::ok(&render(
        id,
        &shown.recipient,
        verification,
        policy,
        now,
    )))
}
