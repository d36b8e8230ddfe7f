//! delivery-callback: what carriers report, over HTTP or from an SNS topic that invokes the function. Authentic reports
//! move the state of one message, up, and nothing else.
//! Must never parse before it has verified, write for a stranger, or fetch anything that a report names: what SNS wants
//! fetched is at SNS itself.

use std::sync::Arc;

use lambda_http::http::Method;
use lambda_http::request::LambdaRequest;
use lambda_http::{
    Adapter, Body, Error, LambdaEvent, Request, RequestExt as _, Response, Service as _, service_fn,
};

use otp::api::problem::{ErrorCode, Problem};
use otp::api::request;
use otp::api::response::Success;
use otp::api::response::respond;
use otp::api::routing::{Route, route};
use otp::carrier::sns_envelope::{Certificates, Envelope, Notice, Unreachable};
use otp::carrier::{Callback, ConfiguredCarrier, Report, ReportError};
use otp::config::{Config, DispatchMode};
use otp::crypto::seal::{Keyring, RecordKey, equal_in_constant_time};
use otp::domain::address::Address;
use otp::domain::delivery::{self, Delivery, DeliveryStatus, DeliveryTag, Next, Waits};
use otp::domain::recipient::Recipient;
use otp::domain::time::Timestamp;
use otp::domain::verification::Status;
use otp::platform::aws::Service;
use otp::platform::clock::Clock;
use otp::platform::metrics::{Metric, Metrics};
use otp::platform::queue::{Dispatch, Queue, QueueError};
use otp::store::{Raised, Store, StoreError};
use serde_json::Value;

/// What the function holds between invocations.
pub struct App {
    store: Store,
    queue: Option<Queue>,
    seal: Arc<Keyring>,
    carriers: Vec<ConfiguredCarrier>,
    certificates: Certificates,
    waits: Waits,
    public_url: String,
    clock: Clock,
    metrics: Metrics,
}

static ROUTES: &[Route] = &[Route {
    path: "/v1/callbacks/{}/{}",
    methods: &[Method::POST, Method::GET],
}];

impl App {
    /// From the function's configuration.
    #[must_use]
    pub fn new(config: Config, clock: Clock, metrics: Metrics) -> Self {
        let store = Store::new(
            &config.aws.config(Service::DynamoDb),
            config.table,
            config.seal.clone(),
        );
        let queue = (config.dispatch == DispatchMode::Queue)
            .then(|| Queue::new(&config.aws.config(Service::Sqs), config.queue_url));
        let certificates = Certificates::new(config.aws.endpoint_url(Service::Sns));
        let (seal, carriers, public_url) = (config.seal, config.carriers, config.public_url);
        Self {
            store,
            queue,
            seal,
            carriers,
            certificates,
            waits: config.waits,
            public_url,
            clock,
            metrics,
        }
    }

    /// What the first call would wait for, done during init.
    pub async fn warm_up(&self) {
        self.store.warm_up().await;
    }
}

/// Either kind of event in: a call of the gateway, or messages of the SNS topic that IAM lets invoke the function.
///
/// # Errors
/// For an event that is neither, and for reports that could not be written: Lambda invokes again.
pub async fn invoke(app: &App, event: LambdaEvent<Value>) -> Result<Value, Error> {
    if event.payload["Records"][0]["EventSource"] == "aws:sns" {
        let records = event.payload["Records"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        handle_topic(app, records)
            .await
            .map_err(|error| Error::from(error.0))?;
        return Ok(Value::Null);
    }
    let call = LambdaEvent::new(
        serde_json::from_value::<LambdaRequest>(event.payload)?,
        event.context,
    );
    let mut gateway = Adapter::from(service_fn(async |request| {
        Ok::<_, Error>(handle(app, &request).await)
    }));
    Ok(serde_json::to_value(gateway.call(call).await?)?)
}

/// HTTP in, answer out, logged once.
pub async fn handle(app: &App, request: &Request) -> Response<Body> {
    let request_id = request::request_id(request);
    let outcome = answer(app, request).await;
    respond("delivery-callback", &request_id, outcome)
}

/// Messages of the topic: each is for the carrier that can read it and, where two can, that has the message.
async fn handle_topic(app: &App, records: &[Value]) -> Result<(), RecordError> {
    let now = app.clock.now();
    for message in records.iter().map(|record| &record["Sns"]) {
        let (topic_arn, text) = (
            message["TopicArn"].as_str(),
            message["Message"].as_str().unwrap_or_default(),
        );
        let of_topic = app
            .carriers
            .iter()
            .filter(|carrier| carrier.topic_arn().is_none_or(|own| Some(own) == topic_arn));
        for (carrier, report) in
            of_topic.filter_map(|carrier| Some((carrier, carrier.event(text, now).ok()?)))
        {
            let applied = match report.reference.as_deref() {
                Some(reference) => apply(app, carrier, reference, report.status, now).await?,
                None => Applied::Gone,
            };
            if matches!(applied, Applied::Raised) {
                break;
            }
        }
    }
    Ok(())
}

async fn answer(app: &App, request: &Request) -> Result<Success, Problem> {
    let (_, values) = route(request, ROUTES)?;
    let [name, token] = <[String; 2]>::try_from(values).unwrap_or_default();
    let body = request::bounded_body(request)?;
    let carrier = app
        .carriers
        .iter()
        .find(|carrier| carrier.name == name)
        .ok_or_else(stranger)?;
    let is_of_account = carrier
        .account_token()
        .is_some_and(|expected| equal_in_constant_time(expected.as_bytes(), token.as_bytes()));
    let of_message = app.seal.open_callback_token(&carrier.name, &token);
    if !is_of_account && of_message.is_none() {
        return Err(stranger());
    }
    let now = app.clock.now();
    let mut further = vec![];
    let report = if carrier.reports_through_sns() {
        // Nobody was given the URL of one message here.
        if !is_of_account {
            return Err(stranger());
        }
        through_sns(app, carrier, body, now).await?
    } else {
        let callback = Callback {
            method: request.method(),
            query: request.uri().query().unwrap_or_default(),
            headers: request.headers(),
            body,
            url: &format!("{}{}", app.public_url, request.raw_http_path()),
        };
        let report = carrier.report(&callback, now).map_err(refused)?;
        // The URL of one message speaks for that message alone.
        if is_of_account {
            further = carrier.further_reports(&callback);
        }
        Some(report)
    };
    let named = report
        .as_ref()
        .and_then(|report| report.reference.as_deref());
    if of_message.is_some() && named.is_some() && of_message != named {
        return Err(stranger());
    }
    // An account may carry messages that are none of ours: their reports are genuine, and change nothing here.
    if let (Some(report), Some(reference)) = (&report, of_message.or(named)) {
        apply(app, carrier, reference, report.status, now)
            .await
            .map_err(|error| Problem::unavailable(error.0))?;
    }
    for Report { reference, status } in &further {
        let reference = reference.as_deref().unwrap_or_default();
        apply(app, carrier, reference, *status, now)
            .await
            .map_err(|error| Problem::unavailable(error.0))?;
    }
    // One carrier takes nothing but this word for an answer; the others look at the status.
    Ok(Success::text("OK"))
}

/// The report in an envelope of SNS, once its signature holds; `None` for what reports nothing.
async fn through_sns(
    app: &App,
    carrier: &ConfiguredCarrier,
    body: &[u8],
    now: Timestamp,
) -> Result<Option<Report>, Problem> {
    let not_now = |error: Unreachable| Problem::unavailable(error.0);
    let envelope = Envelope::parse(body).map_err(refused)?;
    let certificate = app
        .certificates
        .of(envelope.certificate_url())
        .await
        .map_err(not_now)?;
    match envelope
        .verify(&certificate, carrier.topic_arn(), now)
        .map_err(refused)?
    {
        // Other messages of the topic, such as the one that greets it, are none of our business.
        Notice::Notification(message) => return Ok(carrier.event(&message, now).ok()),
        Notice::SubscriptionConfirmation(url) => {
            app.certificates.fetch(&url).await.map_err(not_now)?;
            tracing::warn!(
                delivery.carrier = carrier.name,
                "the subscription to a topic of reports was confirmed"
            );
        }
        Notice::UnsubscribeConfirmation => {
            tracing::error!(
                delivery.carrier = carrier.name,
                error.kind = "unsubscribed",
                "a topic of reports will send no more"
            );
        }
    }
    Ok(None)
}

/// Applies a genuine report to the message that `reference` names.
async fn apply(
    app: &App,
    carrier: &ConfiguredCarrier,
    reference: &str,
    status: Option<DeliveryStatus>,
    now: Timestamp,
) -> Result<Applied, RecordError> {
    let applied = match (app.seal.open_reference(reference), status) {
        (Some((key, tag)), Some(status)) => {
            record(app, &carrier.name, &key, &tag, status, now).await?
        }
        (Some(_), None) => Applied::Unchanged,
        (None, _) => Applied::Gone,
    };
    tracing::info!(delivery.carrier = carrier.name, delivery.status = status.map_or("", DeliveryStatus::name), applied = ?applied, "a report came");
    Ok(applied)
}

/// A report could not be written, or what follows from it could not be asked for. For the log only.
#[derive(Debug)]
struct RecordError(String);

impl From<StoreError> for RecordError {
    fn from(error: StoreError) -> Self {
        Self(error.0)
    }
}

impl From<QueueError> for RecordError {
    fn from(error: QueueError) -> Self {
        Self(error.0)
    }
}

/// What a genuine report did.
#[derive(Clone, Copy, Debug)]
enum Applied {
    /// The state moved up.
    Raised,
    /// It was there or above already, or is not known to us.
    Unchanged,
    /// Nothing is known of this message any more.
    Gone,
}

/// One conditional write, and what follows from it.
async fn record(
    app: &App,
    carrier: &str,
    key: &RecordKey,
    tag: &DeliveryTag,
    status: DeliveryStatus,
    now: Timestamp,
) -> Result<Applied, RecordError> {
    if status.floor() == 0 {
        // Nothing stands below `queued`.
        return Ok(Applied::Unchanged);
    }
    let (recipient, applied) = match app
        .store
        .raise(key, tag, status, Some(carrier), now)
        .await?
    {
        Raised::Done(recipient) => (recipient, Applied::Raised),
        Raised::Unchanged(recipient) => (recipient, Applied::Unchanged),
        Raised::Gone => return Ok(Applied::Gone),
    };
    if matches!(applied, Applied::Raised) {
        let country = recipient.address.as_ref().and_then(Address::country);
        app.metrics.count(
            &Metric::Delivery {
                carrier: Some(carrier),
                country,
                status: status.name(),
            },
            now,
        );
        if status == DeliveryStatus::Delivered
            && let Some(opened_at) = opened_with(&recipient, tag)
        {
            app.metrics.count(
                &Metric::Report {
                    carrier,
                    seconds: now.seconds_since(opened_at),
                },
                now,
            );
        }
    }
    if status.ended_badly() {
        fall_back(app, key, &recipient, now).await?;
    }
    Ok(applied)
}

/// When the verification was opened that `tag` is the first message of: only that one was handed over then.
fn opened_with(recipient: &Recipient, tag: &DeliveryTag) -> Option<Timestamp> {
    let now = recipient
        .verification
        .iter()
        .map(|verification| (&verification.params, &verification.deliveries));
    let mut all = now.chain(
        recipient
            .ended
            .iter()
            .map(|ended| (&ended.params, &ended.deliveries)),
    );
    let is_first = |deliveries: &Vec<Delivery>| {
        deliveries
            .iter()
            .any(|delivery| delivery.tag == *tag && delivery.number == 1)
    };
    all.find(|(_, deliveries)| is_first(deliveries))
        .map(|(params, _)| params.created_at)
}

/// A message that ended badly may have a fallback channel: its step is asked for at once. A repeated report asks again,
/// which is harmless and mends a dispatch that was lost.
async fn fall_back(
    app: &App,
    key: &RecordKey,
    recipient: &Recipient,
    now: Timestamp,
) -> Result<(), QueueError> {
    let (Some(verification), Some(queue)) = (&recipient.verification, &app.queue) else {
        return Ok(());
    };
    let next = delivery::next(
        &verification.deliveries,
        false,
        verification.fallback_left(),
        app.waits,
        now,
    );
    if !matches!(next, Next::Open { .. })
        || verification.status(now) != Status::Pending
        || verification.step.due > now
    {
        return Ok(());
    }
    let id = app
        .seal
        .verification_id(&recipient.app, key, &verification.params.nonce);
    let dispatch = Dispatch::new(&recipient.app, id, verification.step.sequence);
    queue.enqueue(&dispatch, 0).await
}

/// Forged and unknown look alike.
fn stranger() -> Problem {
    Problem::new(ErrorCode::NotFound, "There is nothing at this path.")
}

fn refused(error: ReportError) -> Problem {
    match error {
        ReportError::Forged => {
            Problem::new(ErrorCode::Unauthorized, "The signature does not hold.")
        }
        ReportError::Unreadable => {
            Problem::new(ErrorCode::MalformedRequest, "The report cannot be read.")
        }
    }
}
