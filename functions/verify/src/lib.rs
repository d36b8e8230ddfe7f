//! verify: checks codes, shows and cancels verifications, names the app of a key. It also responds
//! to `/healthz` and to every path without a route.

mod twilio;

use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::http::Method;
use lambda_http::request::LambdaRequest;
use lambda_http::{Body, LambdaEvent, Request, Response};
use otp::api::authorization::authorize;
use otp::api::deadline::{answer_in_time, deadline_of};
use otp::api::gateway::{gateway_response, request_of};
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
use otp::config::document::StoredConfig;
use otp::config::instance_config::{Configured, InstanceConfig};
use otp::config::{ApiKeys, ConfigError, Environment, Infrastructure, VerifyConfig};
use otp::domain::ids::VerificationId;
use otp::platform::clock::Clock;
use otp::platform::log_line::in_one_line;
use otp::platform::metrics::Metrics;
use otp::service::check::check;
use otp::service::target::Target;
use otp::service::verifying::Verifying;
use otp::service::{cancel, show};
use otp::store::{ConfigReadError, StoredVersions};
use serde_json::json;

/// What the function keeps between invocations.
pub struct State {
    config: InstanceConfig<SettingsSource>,
    base: BasePath,
    public_url: Option<String>,
    clock: Clock,
}

/// What the function makes of its configuration.
struct Settings {
    verifying: Verifying,
    api_keys: ApiKeys,
}

/// Reads and makes [`Settings`].
struct SettingsSource {
    infrastructure: Infrastructure,
    metrics: Metrics,
}

impl Configured for SettingsSource {
    type Settings = Settings;

    const FUNCTION: &'static str = "verify";

    async fn read_stored(&self, is_consistent: bool) -> Result<StoredVersions, ConfigReadError> {
        let store = &self.infrastructure.store;
        let document = store.read_config(is_consistent).await?;
        Ok(StoredVersions::of_document(document))
    }

    fn configure(&self, stored: StoredConfig<'_>) -> Result<(Settings, Vec<String>), ConfigError> {
        let mut config = VerifyConfig::read(self.infrastructure.reader(stored))?;
        let api_keys = std::mem::take(&mut config.api_keys);
        let warnings = std::mem::take(&mut config.warnings);
        let store = self.infrastructure.store.clone();
        let verifying = Verifying::new(store, config, self.metrics.clone());
        let settings = Settings {
            verifying,
            api_keys,
        };
        Ok((settings, warnings))
    }
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
    /// With the infrastructure that the variables define. Nothing is read from the table yet.
    ///
    /// # Errors
    /// All invalid variables.
    pub fn new(
        environment: impl Into<Environment>,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, ConfigError> {
        let infrastructure = Infrastructure::read(environment, VerifyConfig::read)?;
        let public_url = infrastructure.public_url.clone();
        let max_age_seconds = infrastructure.config_max_age_seconds;
        let source = SettingsSource {
            infrastructure,
            metrics,
        };
        Ok(Self {
            config: InstanceConfig::new(source, clock.clone(), max_age_seconds),
            base: BasePath::of(public_url.as_deref()),
            public_url,
            clock,
        })
    }

    /// Does during init what the first request would wait for.
    ///
    /// # Errors
    /// All invalid variables and members of the configuration document.
    pub async fn warm_up(&self) -> Result<(), ConfigError> {
        self.config.start().await
    }
}

/// Answers an event of the gateway.
pub async fn invoke(state: &State, event: LambdaEvent<LambdaRequest>) -> ApiGatewayV2httpResponse {
    gateway_response(handle(state, &request_of(event)).await)
}

/// Answers one request.
pub async fn handle(state: &State, request: &Request) -> Response<Body> {
    let response = in_one_line(respond_to(state, request));
    state.config.beside(response).await
}

async fn respond_to(state: &State, request: &Request) -> Response<Body> {
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
    let settings = state.config.current().await;
    let settings = settings.map_err(|error| Problem::unavailable(&error))?;
    let (verifying, now) = (&settings.verifying, state.clock.now());
    let app = authorize(request, &settings.api_keys, now)?;
    log.set_app(&app);
    let policy = verifying.apps.policy(&app);
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
