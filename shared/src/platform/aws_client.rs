//! Client of an AWS service. The SDK's code writes the request of each operation and reads its
//! response. What lies between is done here: the SDK's own client takes 0.23 million instructions
//! more for each call, for plugins and interceptors that we do not use.
//!
//! Invariant: attempts and calls have a time limit, and retries a budget.
//! Invariant: only transient failures are retried. A retry is safe: each write carries a name by
//! which its repetition is recognised.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, SharedHttpConnector};
use aws_smithy_runtime_api::client::interceptors::context::{Input, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin;
use aws_smithy_runtime_api::client::ser_de::{
    DeserializeResponse as _, SerializeRequest as _, SharedRequestSerializer,
    SharedResponseDeserializer,
};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::error::operation::BuildError;
use http_body_util::{BodyExt as _, Limited};
use rand::RngExt as _;
use tokio::time::{Instant, timeout_at};
use tower::retry::budget::{Budget as _, TpsBudget};

use crate::platform::aws_signature::{SignError, Signer, Unsigned};
use crate::platform::clock::Clock;
use crate::platform::in_process::InProcessTable;
use crate::platform::random::entropy;

/// Larger than any response of DynamoDB, whose items have at most 16 MB together.
const RESPONSE_LENGTH_MAX: usize = 32 * 1024 * 1024;

/// Statuses with which AWS says that it failed, not the request.
const TRANSIENT_STATUSES: [u16; 4] = [500, 502, 503, 504];

/// Calls the operations of one AWS service, or of the server in this process in its place. Clones
/// share their budget of retries.
#[derive(Clone)]
pub struct AwsClient {
    connector: SharedHttpConnector,
    /// `None`: in this process. Nothing is signed or retried, and nothing has a time limit.
    remote: Option<Remote>,
    table: Option<Arc<dyn InProcessTable>>,
}

/// A service that is called over a connection.
#[derive(Clone)]
struct Remote {
    url: String,
    signer: Arc<Signer>,
    limits: Limits,
    retries: Arc<TpsBudget>,
}

/// Limits of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// At least 1.
    pub(crate) attempts: u32,
    /// For one attempt.
    pub(crate) attempt_time: Duration,
    /// For all attempts, and the waits between them.
    pub(crate) call_time: Duration,
    /// The longest wait after the first failure; twice as long after each further one.
    pub(crate) backoff: Duration,
    /// The same where AWS rejects because of the rate.
    pub(crate) throttled_backoff: Duration,
}

/// Kind of a transient failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Transient {
    Failed,
    Throttled,
}

impl fmt::Debug for AwsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.remote.as_ref().map(|remote| &remote.url);
        f.debug_struct("AwsClient").field("url", &url).finish()
    }
}

impl AwsClient {
    /// The service at `url`.
    pub(super) fn new(connector: SharedHttpConnector, url: String, signer: Signer) -> Self {
        let remote = Remote {
            url,
            signer: Arc::new(signer),
            limits: Limits::DEFAULT,
            retries: Arc::default(),
        };
        Self {
            connector,
            remote: Some(remote),
            table: None,
        }
    }

    /// The server in this process that `connector` leads to. `table` takes the place of its most
    /// frequent operations.
    #[must_use]
    pub fn in_process(
        connector: SharedHttpConnector,
        table: Option<Arc<dyn InProcessTable>>,
    ) -> Self {
        Self {
            connector,
            remote: None,
            table,
        }
    }

    /// The same service through another connector, within other limits.
    #[cfg(test)]
    pub(crate) fn through(mut self, connector: SharedHttpConnector, limits: Limits) -> Self {
        self.connector = connector;
        if let Some(remote) = &mut self.remote {
            remote.limits = limits;
        }
        self
    }

    /// The table that gets, puts and updates items in this process.
    #[must_use]
    pub fn table(&self) -> Option<&Arc<dyn InProcessTable>> {
        self.table.as_ref()
    }

    /// Sends `input` to `operation`, such as `GetItem::new()`, and reads the response. Retries
    /// transient failures.
    ///
    /// # Errors
    /// Of the last attempt.
    pub async fn call<I, O, E>(
        &self,
        operation: impl RuntimePlugin,
        input: Result<I, BuildError>,
    ) -> Result<O, SdkError<E, HttpResponse>>
    where
        I: fmt::Debug + Send + Sync + 'static,
        O: fmt::Debug + Send + Sync + 'static,
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let exchange = self.exchange(&operation, input);
        let exchange = exchange.map_err(SdkError::construction_failure)?;
        // The futures are large, and those of the use cases would contain several of them.
        Box::pin(async {
            match &self.remote {
                Some(remote) => self.call_remote(remote, &exchange).await,
                None => self.attempt(&exchange).await,
            }
        })
        .await
    }

    /// As [`Self::call`], with a single attempt, within `time`.
    ///
    /// # Errors
    /// As of [`Self::call`].
    pub async fn call_once<I, O, E>(
        &self,
        operation: impl RuntimePlugin,
        input: Result<I, BuildError>,
        time: Duration,
    ) -> Result<O, SdkError<E, HttpResponse>>
    where
        I: fmt::Debug + Send + Sync + 'static,
        O: fmt::Debug + Send + Sync + 'static,
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let exchange = self.exchange(&operation, input);
        let exchange = exchange.map_err(SdkError::construction_failure)?;
        let attempt = Box::pin(self.attempt(&exchange));
        match tokio::time::timeout(time, attempt).await {
            Ok(attempted) => attempted,
            Err(elapsed) => Err(SdkError::timeout_error(elapsed)),
        }
    }

    /// The signature is valid for all retries.
    fn exchange<I>(
        &self,
        operation: &impl RuntimePlugin,
        input: Result<I, BuildError>,
    ) -> Result<Exchange, BoxError>
    where
        I: fmt::Debug + Send + Sync + 'static,
    {
        let mut exchange = Exchange::of(operation, input?)?;
        if let Some(remote) = &self.remote {
            remote.prepare(&mut exchange.request)?;
        }
        Ok(exchange)
    }

    async fn call_remote<O, E>(
        &self,
        remote: &Remote,
        exchange: &Exchange,
    ) -> Result<O, SdkError<E, HttpResponse>>
    where
        O: fmt::Debug + Send + Sync + 'static,
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let limits = remote.limits;
        let until = Instant::now() + limits.call_time;
        remote.retries.deposit();
        let mut failures = 0;
        loop {
            let attempt_until = until.min(Instant::now() + limits.attempt_time);
            let error = match timeout_at(attempt_until, self.attempt(exchange)).await {
                Ok(Ok(output)) => return Ok(output),
                Ok(Err(error)) => error,
                Err(elapsed) => SdkError::timeout_error(elapsed),
            };
            let Some(transient) = transient(&error) else {
                return Err(error);
            };
            failures += 1;
            let retry_at = Instant::now() + limits.backoff_after(failures, transient);
            let may_retry = failures < limits.attempts && retry_at < until;
            if !may_retry || !remote.retries.withdraw() {
                return Err(error);
            }
            tokio::time::sleep_until(retry_at).await;
        }
    }

    async fn attempt<O, E>(&self, exchange: &Exchange) -> Result<O, SdkError<E, HttpResponse>>
    where
        O: fmt::Debug + Send + Sync + 'static,
        E: Error + Send + Sync + 'static,
    {
        let request = exchange.request.try_clone();
        let request = request.ok_or_else(|| SdkError::construction_failure(SignError::Body))?;
        let response = self.connector.call(request).await;
        let mut response = response.map_err(SdkError::dispatch_failure)?;
        if response.body().bytes().is_none() {
            let body = Limited::new(response.take_body(), RESPONSE_LENGTH_MAX);
            match body.collect().await {
                Ok(body) => *response.body_mut() = SdkBody::from(body.to_bytes()),
                Err(error) => return Err(SdkError::response_error(error, response)),
            }
        }
        exchange.read(&response).map_err(|error| match error {
            Some(error) => SdkError::service_error(error, response),
            None => SdkError::response_error("the response is not one of the operation", response),
        })
    }
}

impl Remote {
    /// Addresses and signs `request`.
    fn prepare(&self, request: &mut HttpRequest) -> Result<(), BoxError> {
        request.set_uri(self.url.as_str())?;
        let unsigned = Unsigned {
            method: request.method(),
            url: &self.url,
            headers: request.headers().iter().collect(),
            body: request.body().bytes().ok_or(SignError::Body)?,
        };
        let signed = self.signer.sign(unsigned, Clock::default().now())?;
        for (name, value) in signed {
            request.headers_mut().insert(name, value);
        }
        Ok(())
    }
}

impl Limits {
    /// DynamoDB normally responds within milliseconds, so a longer wait is better spent on a retry.
    /// After three seconds, the HTTP client of our API is still waiting. Attempts and
    /// waits are those of the SDK for DynamoDB, `RetrySpec` 2.1.
    const DEFAULT: Self = Self {
        attempts: 4,
        attempt_time: Duration::from_secs(1),
        call_time: Duration::from_secs(3),
        backoff: Duration::from_millis(25),
        throttled_backoff: Duration::from_secs(1),
    };

    /// A random wait, so that clients that failed together do not return together.
    fn backoff_after(self, failures: u32, transient: Transient) -> Duration {
        let longest = match transient {
            Transient::Failed => self.backoff,
            Transient::Throttled => self.throttled_backoff,
        };
        let longest = longest.saturating_mul(1 << (failures - 1).min(16));
        longest.mul_f64(entropy().random_range(0.0..=1.0))
    }
}

/// How `error` is transient; `None` if a retry would fail as well.
fn transient<E>(error: &SdkError<E, HttpResponse>) -> Option<Transient>
where
    E: ProvideErrorMetadata,
{
    let is_failed = match error {
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or_default();
            if THROTTLING_ERRORS.contains(&code) {
                return Some(Transient::Throttled);
            }
            let status = service.raw().status().as_u16();
            TRANSIENT_ERRORS.contains(&code) || TRANSIENT_STATUSES.contains(&status)
        }
        _ => false,
    };
    is_failed.then_some(Transient::Failed)
}

/// The request of one call, and the SDK's code that reads its response.
struct Exchange {
    request: HttpRequest,
    operation: ConfigBag,
}

impl Exchange {
    fn of<I>(operation: &impl RuntimePlugin, input: I) -> Result<Self, BoxError>
    where
        I: fmt::Debug + Send + Sync + 'static,
    {
        let mut config = ConfigBag::base();
        if let Some(layer) = operation.config() {
            config.push_shared_layer(layer);
        }
        let serializer = config.load::<SharedRequestSerializer>().cloned();
        let serializer = serializer.ok_or("the operation has no serializer")?;
        Ok(Self {
            request: serializer.serialize_input(Input::erase(input), &mut config)?,
            operation: config,
        })
    }

    /// Reads a response with its whole body: the output, or the error of the service; `None` if it
    /// is neither.
    fn read<O, E>(&self, response: &HttpResponse) -> Result<O, Option<E>>
    where
        O: fmt::Debug + Send + Sync + 'static,
        E: Error + Send + Sync + 'static,
    {
        let deserializer = self.operation.load::<SharedResponseDeserializer>();
        let deserializer = deserializer.ok_or(None)?;
        let read = deserializer.deserialize_nonstreaming_with_config(response, &self.operation);
        match read {
            Ok(output) => Output::downcast(output).map_err(|_| None),
            Err(error) => {
                let mut of_service = None;
                // Only here does the orchestrator's error give up that of the operation.
                let _ = error.map_operation_error(|error| of_service = error.downcast().ok());
                Err(of_service)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use aws_sdk_dynamodb::operation::get_item::{
        GetItem, GetItemError, GetItemInput, GetItemOutput,
    };
    use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use http_body_util::Full;

    use super::*;
    use crate::platform::aws_signature::AwsCredentials;

    /// What an attempt meets.
    #[derive(Clone, Copy, Debug)]
    enum Answer {
        Found,
        /// Status and code.
        Rejected(u16, &'static str),
        NotConnected,
        WrongClock,
        NoResponse,
        TooLong,
    }
    use Answer::{Found, NoResponse, NotConnected, Rejected, TooLong, WrongClock};

    const THROTTLED: Answer = Rejected(400, "ProvisionedThroughputExceededException");

    /// Answers one attempt after the other.
    #[derive(Clone, Debug)]
    struct Server(Arc<Mutex<VecDeque<Answer>>>);

    impl HttpConnector for Server {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            assert_eq!(request.uri(), "https://table");
            assert!(request.headers().get("authorization").is_some());
            let respond = |status: u16, body: SdkBody| {
                let status = status.try_into().expect("a status");
                HttpConnectorFuture::ready(Ok(HttpResponse::new(status, body)))
            };
            match self.0.lock().expect("no panic").pop_front() {
                Some(Found) => respond(200, r#"{"Item":{}}"#.into()),
                Some(Rejected(status, code)) => {
                    respond(status, format!(r#"{{"__type":"aws#{code}"}}"#).into())
                }
                Some(TooLong) => {
                    let body = Full::from(vec![b' '; RESPONSE_LENGTH_MAX + 1]);
                    respond(200, SdkBody::from_body_1_x(body))
                }
                Some(NotConnected) => {
                    HttpConnectorFuture::ready(Err(ConnectorError::io("refused".into())))
                }
                Some(WrongClock) => {
                    HttpConnectorFuture::ready(Err(ConnectorError::user("wrong".into())))
                }
                Some(NoResponse) => HttpConnectorFuture::new(std::future::pending()),
                None => panic!("an attempt too many"),
            }
        }
    }

    impl Server {
        fn new(answers: &[Answer]) -> (Self, AwsClient) {
            let server = Self(Arc::new(Mutex::new(answers.iter().copied().collect())));
            let connector = SharedHttpConnector::new(server.clone());
            let signer = Signer::new(AwsCredentials::default(), "eu-west-1".into(), "dynamodb");
            let client = AwsClient::new(connector, "https://table".into(), signer);
            (server, client)
        }

        /// Answers that no attempt has met.
        fn left(&self) -> usize {
            self.0.lock().expect("no panic").len()
        }
    }

    type Read = Result<GetItemOutput, SdkError<GetItemError, HttpResponse>>;

    async fn read(client: &AwsClient) -> Read {
        let input = GetItemInput::builder().table_name("otp").build();
        client.call(GetItem::new(), input).await
    }

    #[tokio::test(start_paused = true)]
    async fn transient_failures_are_retried() {
        for failure in [
            NotConnected,
            NoResponse,
            TooLong,
            THROTTLED,
            Rejected(400, "ThrottlingException"),
            Rejected(500, "InternalServerError"),
            Rejected(503, ""),
        ] {
            let (server, client) = Server::new(&[failure, Found]);
            let read = read(&client).await;
            assert!(read.is_ok(), "{failure:?}: {read:?}");
            assert_eq!(server.left(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_failures_are_final() {
        for failure in [
            WrongClock,
            Rejected(400, "ValidationException"),
            Rejected(400, "ConditionalCheckFailedException"),
            Rejected(403, "AccessDeniedException"),
            Rejected(501, ""),
        ] {
            let (server, client) = Server::new(&[failure, Found]);
            let read = read(&client).await;
            assert!(read.is_err(), "{failure:?}");
            assert_eq!(server.left(), 1, "{failure:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_counted() {
        for failure in [NotConnected, Rejected(500, "InternalServerError")] {
            let (server, client) = Server::new(&[failure; 9]);
            assert!(read(&client).await.is_err(), "{failure:?}");
            assert_eq!(server.left(), 9 - 4, "{failure:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn call_ends_in_time() {
        for failure in [NoResponse, THROTTLED] {
            let started = Instant::now();
            let (_, client) = Server::new(&[failure; 4]);
            assert!(read(&client).await.is_err(), "{failure:?}");
            let took = started.elapsed();
            assert!(took <= Limits::DEFAULT.call_time, "{failure:?}: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn call_without_retries_ends_in_its_time() {
        let input = || GetItemInput::builder().table_name("otp").build();
        let time = Duration::from_millis(100);
        for failure in [NoResponse, NotConnected] {
            let started = Instant::now();
            let (server, client) = Server::new(&[failure, Found]);
            let read: Read = client.call_once(GetItem::new(), input(), time).await;
            assert!(read.is_err(), "{failure:?}");
            assert!(started.elapsed() <= 2 * time, "{failure:?}");
            assert_eq!(server.left(), 1, "{failure:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn retries_have_a_budget() {
        let (server, client) = Server::new(&[NotConnected; 4000]);
        for _ in 0..1000 {
            assert!(read(&client).await.is_err());
        }
        // A hundred in ten seconds, and one for each five calls.
        let retries = 3000 - server.left();
        assert!((250..=600).contains(&retries), "{retries}");
    }

    #[test]
    fn waits_grow_up_to_their_limit() {
        let limits = Limits::DEFAULT;
        for (failures, longest) in [(1, 25), (2, 50), (3, 100)] {
            for _ in 0..100 {
                let wait = limits.backoff_after(failures, Transient::Failed);
                assert!(wait <= Duration::from_millis(longest), "{wait:?}");
            }
        }
        let wait = limits.backoff_after(u32::MAX, Transient::Throttled);
        assert!(wait <= Duration::from_secs(1 << 16), "{wait:?}");
    }
}
