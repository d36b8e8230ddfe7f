//! delivery-callback: what carriers report. Authentic reports move the state of one message, up, and nothing else.
//! Must never parse before it has verified, write for a stranger, or fetch anything that a report names.

use std::sync::Arc;

use lambda_http::http::Method;
use lambda_http::{Body, Request, RequestExt as _, Response};
use otp::address::Address;
use otp::ambient::Clock;
use otp::aws::Service;
use otp::carrier::{Callback, CarrierSettings, ReportError};
use otp::config::{Config, DispatchMode};
use otp::delivery::{self, DeliveryStatus, DeliveryTag, Next, Waits};
use otp::http::{self, Answer, Code, Problem, Route};
use otp::metrics::{self, Metric};
use otp::queue::{Dispatch, Queue};
use otp::recipient::Recipient;
use otp::seal::{RecipientKey, Seal, equal_in_constant_time};
use otp::store::{Begin, Change, Store, StoreError, Written};
use otp::timestamp::Timestamp;
use otp::verification::Status;

/// What the function holds between invocations.
pub struct App {
    store: Store,
    queue: Option<Queue>,
    seal: Arc<Seal>,
    carriers: Vec<CarrierSettings>,
    waits: Waits,
    public_url: String,
    clock: Clock,
}

static ROUTES: &[Route] = &[Route { path: "/v1/callbacks/{}/{}", methods: &[Method::POST, Method::GET] }];

impl App {
    /// From the function's configuration.
    #[must_use]
    pub fn new(config: Config, clock: Clock) -> Self {
        let store = Store::new(&config.aws.config(Service::DynamoDb), config.table, config.seal.clone());
        let queue = (config.dispatch == DispatchMode::Queue).then(|| Queue::new(&config.aws.config(Service::Sqs), config.queue_url));
        Self { store, queue, seal: config.seal, carriers: config.carriers, waits: config.waits, public_url: config.public_url, clock }
    }

    /// What the first call would wait for, done during init.
    pub async fn warm_up(&self) {
        self.store.warm_up().await;
    }
}

/// HTTP in, answer out, logged once.
pub async fn handle(app: &App, request: &Request) -> Response<Body> {
    let request_id = http::request_id(request);
    let outcome = answer(app, request).await;
    http::respond("delivery-callback", &request_id, outcome)
}

async fn answer(app: &App, request: &Request) -> Result<Answer, Problem> {
    let (_, values) = http::route(request, ROUTES)?;
    let [name, token] = <[String; 2]>::try_from(values).unwrap_or_default();
    let body = http::bounded_body(request)?;
    let carrier = app.carriers.iter().find(|carrier| carrier.name == name).ok_or_else(stranger)?;
    let is_of_account = carrier.account_token().is_some_and(|expected| equal_in_constant_time(expected.as_bytes(), token.as_bytes()));
    let of_message = app.seal.open_callback_token(&carrier.name, &token);
    if !is_of_account && of_message.is_none() {
        return Err(stranger());
    }
    let now = app.clock.now();
    let callback = Callback {
        method: request.method(),
        query: request.uri().query().unwrap_or_default(),
        headers: request.headers(),
        body,
        url: &format!("{}{}", app.public_url, request.raw_http_path()),
    };
    let report = carrier.report(&callback, now).map_err(|error| match error {
        ReportError::Forged => Problem::new(Code::Unauthorized, "The signature does not hold."),
        ReportError::Unreadable => Problem::new(Code::MalformedRequest, "The report cannot be read."),
    })?;
    let named = report.reference.as_deref();
    if of_message.is_some() && named.is_some() && of_message != named {
        return Err(stranger());
    }
    // An account may carry messages that are none of ours: their reports are genuine, and change nothing here.
    let message = of_message.or(named).and_then(|reference| app.seal.open_reference(reference));
    let applied = match report.status {
        Some(status) => match message {
            Some((key, tag)) => record(app, &carrier.name, &key, &tag, status, now).await?,
            None => Applied::Gone,
        },
        None => Applied::Unchanged,
    };
    tracing::info!(delivery.carrier = carrier.name, delivery.status = report.status.map_or("", DeliveryStatus::name), applied = ?applied, "a report came");
    // One carrier takes nothing but this word for an answer; the others look at the status.
    Ok(Answer::text("OK"))
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

/// One conditional write for a message of the verification of now; one that was superseded takes a read more.
async fn record(app: &App, carrier: &str, key: &RecipientKey, tag: &DeliveryTag, status: DeliveryStatus, now: Timestamp) -> Result<Applied, Problem> {
    if status.floor() == 0 {
        // Nothing stands below `queued`.
        return Ok(Applied::Unchanged);
    }
    let written = app.store.raise(key, tag, status, Some(carrier), now).await.map_err(unavailable)?;
    let (recipient, applied) = match written {
        Written::Done(recipient) => (recipient, Applied::Raised),
        Written::Refused(None) => return Ok(Applied::Gone),
        Written::Refused(Some(recipient)) => {
            let is_known = recipient.verification.iter().any(|v| v.deliveries.iter().any(|delivery| delivery.tag == *tag));
            if !is_known {
                return raise_ended(app, &recipient.app, carrier, key, tag, status, now).await.map_err(unavailable);
            }
            (recipient, Applied::Unchanged)
        }
    };
    if let (Applied::Raised, Some(verification)) = (applied, &recipient.verification) {
        let country = recipient.address.as_ref().and_then(Address::country);
        metrics::count(&Metric::Delivery { carrier, country, status: status.name() }, now);
        // Only a first message was handed over when its verification was opened.
        if verification.deliveries.iter().any(|delivery| delivery.tag == *tag && delivery.number == 1) {
            metrics::count(&Metric::Report { carrier, seconds: now.since(verification.terms.created_at) }, now);
        }
    }
    if status.ended_badly() {
        fall_back(app, key, &recipient, now).await?;
    }
    Ok(applied)
}

/// A message that ended badly may have a fallback channel: its step is asked for at once. A repeated report asks again,
/// which is harmless and mends a dispatch that was lost.
async fn fall_back(app: &App, key: &RecipientKey, recipient: &Recipient, now: Timestamp) -> Result<(), Problem> {
    let (Some(verification), Some(queue)) = (&recipient.verification, &app.queue) else { return Ok(()) };
    let next = delivery::next(&verification.deliveries, false, verification.fallback_left(), app.waits, now);
    if !matches!(next, Next::Open { .. }) || verification.status(now) != Status::Pending || verification.step.due > now {
        return Ok(());
    }
    let id = app.seal.verification_id(&recipient.app, key, &verification.terms.nonce);
    let dispatch = Dispatch::new(&recipient.app, id, verification.step.sequence);
    queue.enqueue(&dispatch, 0).await.map_err(|error| Problem::unavailable(error.0))
}

async fn raise_ended(
    app: &App,
    of_app: &str,
    carrier: &str,
    key: &RecipientKey,
    tag: &DeliveryTag,
    status: DeliveryStatus,
    now: Timestamp,
) -> Result<Applied, StoreError> {
    let rule = |recipient: &mut Recipient| {
        let mut all = recipient.ended.iter_mut().flat_map(|ended| ended.deliveries.iter_mut());
        let Some(delivery) = all.find(|delivery| delivery.tag == *tag) else { return Ok(Change::Keep(Applied::Gone)) };
        let other_carrier = delivery.carrier.as_deref().is_some_and(|has| has != carrier);
        if other_carrier || !delivery.status.may_become(status) {
            return Ok::<_, std::convert::Infallible>(Change::Keep(Applied::Unchanged));
        }
        delivery.status = status;
        delivery.carrier = Some(carrier.to_owned());
        delivery.updated_at = now;
        Ok(Change::Write(Applied::Raised))
    };
    let changed = app.store.change(key, of_app, Begin::Read, now, rule).await?;
    Ok(changed.unwrap_or_else(|never| match never {}))
}

/// Forged and unknown look alike.
fn stranger() -> Problem {
    Problem::new(Code::NotFound, "There is nothing at this path.")
}

fn unavailable(error: StoreError) -> Problem {
    Problem::unavailable(error.0)
}
