//! send: opens verifications and resends their messages; unlocks, forgets,
//! releases and looks up recipients.

mod twilio;

use std::sync::Arc;

use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::http::Method;
use lambda_http::request::LambdaRequest;
use lambda_http::{Body, LambdaEvent, Request, Response};
use otp::api::authorization::authorize;
use otp::api::deadline::{answer_in_time, deadline_of};
use otp::api::gateway::{gateway_response, request_of};
use otp::api::problem::Problem;
use otp::api::request::{json_body, request_id};
use otp::api::request_log::RequestLog;
use otp::api::response::{Success, respond};
use otp::api::routing::{BasePath, Route, route};
use otp::api::twilio::path::path_of;
use otp::api::v1::errors::{not_found, send_problem};
use otp::api::v1::recipient::{read_to, render_lookup};
use otp::api::v1::send::{read_resend, read_send, render_sent};
use otp::config::document::StoredConfig;
use otp::config::instance_config::{Configured, InstanceConfig};
use otp::config::{ApiKeys, ConfigError, Environment, Infrastructure, SendConfig};
use otp::domain::time::Timestamp;
use otp::platform::aws::Service;
use otp::platform::clock::Clock;
use otp::platform::deadline::Deadline;
use otp::platform::log_line::in_one_line;
use otp::platform::metrics::Metrics;
use otp::platform::{queue, worker_function};
use otp::service::deliver::breakers::Breakers;
use otp::service::sending::{SendError, Sending};
use otp::service::{recipients, resend, send};
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
    sending: Sending,
    api_keys: ApiKeys,
}

/// Reads and makes [`Settings`].
struct SettingsSource {
    infrastructure: Infrastructure,
    breakers: Arc<Breakers>,
    clock: Clock,
    metrics: Metrics,
}

impl Configured for SettingsSource {
    type Settings = Settings;

    const FUNCTION: &'static str = "send";

    async fn read_stored(&self, is_consistent: bool) -> Result<StoredVersions, ConfigReadError> {
        let store = &self.infrastructure.store;
        let document = store.read_config(is_consistent).await?;
        Ok(StoredVersions::of_document(document))
    }

    fn configure(&self, stored: StoredConfig<'_>) -> Result<(Settings, Vec<String>), ConfigError> {
        let mut config = SendConfig::read(self.infrastructure.reader(stored))?;
        let api_keys = std::mem::take(&mut config.api_keys);
        let warnings = std::mem::take(&mut config.warnings);
        let sending = Sending::with_store(
            self.infrastructure.store.clone(),
            self.breakers.clone(),
            config,
            self.clock.clone(),
            self.metrics.clone(),
        );
        Ok((Settings { sending, api_keys }, warnings))
    }
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
    /// With the infrastructure that the variables define. Nothing is read from the table yet.
    ///
    /// # Errors
    /// All invalid variables.
    pub fn new(
        environment: impl Into<Environment>,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, ConfigError> {
        let infrastructure = Infrastructure::read(environment, SendConfig::read)?;
        let public_url = infrastructure.public_url.clone();
        let max_age_seconds = infrastructure.config_max_age_seconds;
        let store = infrastructure.store.clone();
        let breakers = Breakers::new(store, infrastructure.keyring(), clock.clone());
        let source = SettingsSource {
            infrastructure,
            breakers: Arc::new(breakers),
            clock: clock.clone(),
            metrics,
        };
        Ok(Self {
            config: InstanceConfig::new(source, clock.clone(), max_age_seconds),
            base: BasePath::of(public_url.as_deref()),
            public_url,
            clock,
        })
    }

    /// Does during init what the first request would wait for: reads the configuration, opens the
    /// connections, and builds tables for numbers.
    ///
    /// # Errors
    /// All invalid variables and members of the configuration document.
    pub async fn warm_up(&self) -> Result<(), ConfigError> {
        let infrastructure = &self.config.configured().infrastructure;
        let aws = infrastructure.aws();
        let dispatches = async {
            match (&infrastructure.worker_url, &infrastructure.queue_url) {
                (Some(url), _) => worker_function::warm_up(aws, url).await,
                (None, Some(_)) => queue::warm_up(aws).await,
                (None, None) => {}
            }
        };
        let table = async {
            self.config.start().await?;
            // The limits are written at the same time. The connection for it resumes the TLS
            // session of the one over which the configuration came.
            aws.host(Service::DynamoDb).connect(2).await;
            Ok(())
        };
        tokio::join!(table, dispatches).0?;
        if let Some(settings) = self.config.in_force() {
            settings.sending.warm_up();
        }
        Ok(())
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
    let settings = state.config.current().await;
    let settings = settings.map_err(|error| Problem::unavailable(&error))?;
    let (sending, now) = (&settings.sending, state.clock.now());
    let app = authorize(request, &settings.api_keys, now)?;
    log.set_app(&app);
    match matched.route {
        SEND => open(sending, request, &matched.base, &app, log, deadline, now).await,
        RESEND => {
            let id = matched.values.into_iter().next().unwrap_or_default();
            send_again(sending, request, &app, &id, log, deadline, now).await
        }
        path => serve_support_desk(sending, request, path, &app, now).await,
    }
}

async fn serve_support_desk(
    sending: &Sending,
    request: &Request,
    path: &str,
    app: &str,
    now: Timestamp,
) -> Result<Success, Problem> {
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
    sending: &Sending,
    request: &Request,
    base: &str,
    app: &str,
    log: &mut RequestLog,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Success, Problem> {
    let policy = sending.apps.policy(app);
    let request = read_send(request, &sending.keyring, app, policy)?;
    let sent = send::send(sending, app, &request, deadline, now).await;
    let sent = sent.map_err(|error| problem(sending, &error, app, now))?;
    log.set_verification(sent.id);
    let location = format!("{base}{SEND}/{}", sent.id);
    let body = render_sent(&sent, policy, now)?;
    Ok(Success::created(&body, location).replayed(sent.is_replay))
}

async fn send_again(
    sending: &Sending,
    request: &Request,
    app: &str,
    id: &str,
    log: &mut RequestLog,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Success, Problem> {
    let request = read_resend(request)?;
    let id = id.parse().map_err(|_| not_found())?;
    log.set_verification(id);
    let sent = resend::resend(sending, app, id, &request, deadline, now).await;
    let sent = sent.map_err(|error| problem(sending, &error, app, now))?;
    Ok(Success::ok(&render_sent(
        &sent,
        sending.apps.policy(app),
        now,
    )?))
}

/// The problem document of `error`. A rejection by a limit is counted.
fn problem(sending: &Sending, error: &SendError, app: &str, now: Timestamp) -> Problem {
    sending.count_rejection(error);
    send_problem(error, &sending.apps, app, now)
}
