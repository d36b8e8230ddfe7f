//! delivery-callback: receives the carriers' reports, over HTTP or from an SNS topic that invokes
//! the function.
//!
//! Invariants: a report is authenticated before it is parsed. Nothing is fetched that a report
//! names, except from SNS itself.

use std::sync::Arc;

use lambda_http::http::Method;
use lambda_http::request::LambdaRequest;
use lambda_http::{Body, Error, LambdaEvent, Request, Response};
use otp::api::deadline::{answer_in_time, deadline_of};
use otp::api::gateway::{gateway_response, request_of};
use otp::api::problem::{ErrorCode, Problem};
use otp::api::request::{bounded_body, request_id};
use otp::api::request_log::RequestLog;
use otp::api::response::{Success, respond};
use otp::api::routing::{BasePath, Route, route};
use otp::carrier::sns_envelope::{Envelope, Notice, SnsClient};
use otp::carrier::{Callback, ConfiguredCarrier, Report, ReportError};
use otp::config::document::StoredConfig;
use otp::config::instance_config::{Configured, InstanceConfig};
use otp::config::{CallbackConfig, ConfigError, Environment, Infrastructure};
use otp::crypto::signatures::equal_in_constant_time;
use otp::domain::time::Timestamp;
use otp::platform::aws::Service;
use otp::platform::clock::Clock;
use otp::platform::log_line::in_one_line;
use otp::platform::metrics::Metrics;
use otp::platform::queue::Queue;
use otp::service::report::{ApplyReportError, ReportOutcome, Reporting};
use otp::store::{ConfigReadError, StoredVersions};
use serde_json::Value;

/// What the function keeps between invocations.
pub struct State {
    config: InstanceConfig<SettingsSource>,
    sns: SnsClient,
    public_url: String,
    base: BasePath,
    clock: Clock,
}

/// What the function makes of its configuration.
struct Settings {
    reporting: Reporting,
    carriers: Vec<ConfiguredCarrier>,
}

/// Reads and makes [`Settings`].
struct SettingsSource {
    infrastructure: Infrastructure,
    metrics: Metrics,
}

impl Configured for SettingsSource {
    type Settings = Settings;

    const FUNCTION: &'static str = "delivery-callback";

    async fn read_stored(&self, is_consistent: bool) -> Result<StoredVersions, ConfigReadError> {
        let store = &self.infrastructure.store;
        let carrier_seal = self.infrastructure.carrier_seal();
        store
            .read_config_and_secrets(carrier_seal, is_consistent)
            .await
    }

    fn configure(&self, stored: StoredConfig<'_>) -> Result<(Settings, Vec<String>), ConfigError> {
        let config = CallbackConfig::read(self.infrastructure.reader(stored))?;
        let queue = |url| Queue::new(&config.aws, url);
        let reporting = Reporting {
            store: self.infrastructure.store.clone(),
            queue: config.queue_url.map(queue),
            keyring: config.keyring,
            waits: config.waits,
            metrics: self.metrics.clone(),
        };
        let settings = Settings {
            reporting,
            carriers: config.carriers,
        };
        Ok((settings, config.warnings))
    }
}

static ROUTES: &[Route] = &[Route {
    path: "/v1/callbacks/{}/{}",
    methods: &[Method::POST, Method::GET],
}];

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
        let infrastructure = Infrastructure::read(environment, CallbackConfig::read)?;
        let public_url = infrastructure.public_url.clone();
        let max_age_seconds = infrastructure.config_max_age_seconds;
        let sns = SnsClient::new(infrastructure.aws().endpoint_url(Service::Sns));
        let source = SettingsSource {
            infrastructure,
            metrics,
        };
        Ok(Self {
            config: InstanceConfig::new(source, clock.clone(), max_age_seconds),
            sns,
            base: BasePath::of(public_url.as_deref()),
            public_url: public_url.unwrap_or_default(),
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

/// Answers an event of either kind: a request of the gateway, or messages of an SNS topic.
///
/// # Errors
/// The event is of neither kind, or a report could not be applied: Lambda invokes again.
pub async fn invoke(state: &State, event: LambdaEvent<Value>) -> Result<Value, Error> {
    if event.payload["Records"][0]["EventSource"] == "aws:sns" {
        let records = event.payload["Records"].as_array();
        let records = records.map(Vec::as_slice).unwrap_or_default();
        let apply = apply_topic_messages(state, records);
        state.config.beside(apply).await?;
        return Ok(Value::Null);
    }
    let request = serde_json::from_value::<LambdaRequest>(event.payload)?;
    let request = request_of(LambdaEvent::new(request, event.context));
    let response = gateway_response(handle(state, &request).await);
    Ok(serde_json::to_value(response)?)
}

/// Answers one request.
pub async fn handle(state: &State, request: &Request) -> Response<Body> {
    let response = in_one_line(respond_to(state, request));
    state.config.beside(response).await
}

async fn respond_to(state: &State, request: &Request) -> Response<Body> {
    let mut log = RequestLog::new("delivery-callback", request_id(request));
    let deadline = deadline_of(request, &state.clock);
    let result = answer_in_time(deadline, answer(state, request, &mut log)).await;
    respond(&log, request, result)
}

/// Applies messages of a topic. Each belongs to the carrier that can read it and, if several can,
/// to the one that has the message.
async fn apply_topic_messages(state: &State, records: &[Value]) -> Result<(), Error> {
    let settings = state.config.current().await?;
    let now = state.clock.now();
    for message in records.iter().map(|record| &record["Sns"]) {
        in_one_line(apply_topic_message(&settings, message, now)).await?;
    }
    Ok(())
}

async fn apply_topic_message(
    settings: &Settings,
    message: &Value,
    now: Timestamp,
) -> Result<(), ApplyReportError> {
    let topic_arn = message["TopicArn"].as_str();
    let text = message["Message"].as_str().unwrap_or_default();
    for carrier in &settings.carriers {
        let own_topic = carrier.topic_arn.as_deref();
        if own_topic.is_some() && own_topic != topic_arn {
            continue;
        }
        let reports = carrier.event(text, now).unwrap_or_default();
        if apply_all(&settings.reporting, carrier, &reports, now).await? {
            break;
        }
    }
    Ok(())
}

async fn settings(state: &State) -> Result<Arc<Settings>, Problem> {
    let settings = state.config.current().await;
    settings.map_err(|error| Problem::unavailable(&error))
}

async fn answer(
    state: &State,
    request: &Request,
    log: &mut RequestLog,
) -> Result<Success, Problem> {
    let matched = route(request, ROUTES, &state.base)?;
    let [name, token] = <[String; 2]>::try_from(matched.values).unwrap_or_default();
    let body = bounded_body(request)?;
    let settings = settings(state).await?;
    let reporting = &settings.reporting;
    let carrier = settings
        .carriers
        .iter()
        .find(|carrier| carrier.name == name);
    let carrier = carrier.ok_or_else(not_found)?;
    log.set_carrier(&carrier.name);
    let is_account_token = carrier
        .callback_token
        .as_ref()
        .is_some_and(|expected| equal_in_constant_time(expected.as_bytes(), token.as_bytes()));
    let of_message = reporting.keyring.open_callback_token(&carrier.name, &token);
    if !is_account_token && of_message.is_none() {
        return Err(not_found());
    }
    let now = state.clock.now();
    let mut reports = if carrier.reports_through_sns() {
        // Such a carrier has no URL for a single message.
        if !is_account_token {
            return Err(not_found());
        }
        read_sns_envelope(state, carrier, body, now).await?
    } else {
        let callback = Callback {
            method: match request.method() {
                &Method::HEAD => &Method::GET,
                method => method,
            },
            query: request.uri().query().unwrap_or_default(),
            headers: request.headers(),
            body,
            // As it was handed to the carrier, whatever a gateway or proxy made of the path.
            url: &format!("{}{}", state.public_url, matched.path),
        };
        carrier.report(&callback, now).map_err(report_problem)?
    };
    // The URL of a message authenticates a report about that message only.
    if !is_account_token {
        reports.truncate(1);
    }
    for report in &mut reports {
        report.reference = match (of_message, report.reference.take()) {
            (Some(of_message), Some(named)) if of_message != named => return Err(not_found()),
            (of_message, named) => of_message.map(str::to_owned).or(named),
        };
    }
    let applied = apply_all(reporting, carrier, &reports, now).await;
    applied.map_err(|error| Problem::unavailable(&error))?;
    // One vendor requires this word; the others look at the status.
    Ok(Success::text("OK"))
}

/// Whether a report moved a status up. Without a reference a report is about a message of another
/// system that uses the account.
async fn apply_all(
    reporting: &Reporting,
    carrier: &ConfiguredCarrier,
    reports: &[Report],
    now: Timestamp,
) -> Result<bool, ApplyReportError> {
    let mut is_raised = false;
    for report in reports {
        let Some(reference) = &report.reference else {
            continue;
        };
        let outcome = reporting
            .apply(&carrier.name, reference, report.reported(), now)
            .await?;
        is_raised |= outcome == ReportOutcome::Raised;
    }
    Ok(is_raised)
}

/// The reports in an SNS envelope whose signature is valid; none in other messages of the topic.
async fn read_sns_envelope(
    state: &State,
    carrier: &ConfiguredCarrier,
    body: &[u8],
    now: Timestamp,
) -> Result<Vec<Report>, Problem> {
    let envelope = Envelope::parse(body).map_err(report_problem)?;
    let certificate = state.sns.certificate(envelope.certificate_url()).await;
    let certificate = certificate.map_err(|error| Problem::unavailable(&error))?;
    let notice = envelope.verify(&certificate, carrier.topic_arn.as_deref(), now);
    match notice.map_err(report_problem)? {
        Notice::Notification(message) => {
            return Ok(carrier.event(&message, now).unwrap_or_default());
        }
        Notice::SubscriptionConfirmation(url) => {
            let confirmed = state.sns.confirm_subscription(&url).await;
            confirmed.map_err(|error| Problem::unavailable(&error))?;
            tracing::warn!(
                carrier = carrier.name,
                "confirmed the subscription of the report endpoint to an SNS topic"
            );
        }
        Notice::UnsubscribeConfirmation => tracing::error!(
            carrier = carrier.name,
            error.kind = "unsubscribed",
            "SNS unsubscribed the report endpoint"
        ),
    }
    Ok(vec![])
}

/// Forged and unknown look alike.
fn not_found() -> Problem {
    Problem::new(ErrorCode::NotFound, "No resource exists at this path.")
}

fn report_problem(error: ReportError) -> Problem {
    match error {
        ReportError::Forged => Problem::new(
            ErrorCode::Unauthorized,
            "The signature of the report is invalid.",
        ),
        ReportError::Unsigned => Problem::unavailable(&error),
        ReportError::Unreadable => {
            Problem::new(ErrorCode::MalformedRequest, "The report cannot be parsed.")
        }
    }
}
