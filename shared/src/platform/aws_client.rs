//! Client of one AWS service. The SDK's code serializes requests and parses responses; this file
//! signs, sends and retries. The SDK's own client takes more CPU and memory (`docs/costs.md`), for
//! plugins and interceptors that we do not use.
//!
//! Invariant: over a connection, each attempt and each call has a time-out, and retries have a
//! budget.
//! Invariant: only transient errors are retried, so each write must be idempotent. Writes to the
//! table carry a write id or a token, and the worker skips a duplicate dispatch. SNS is called
//! without retries.

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

use super::aws_signature::{SignError, Signer, Unsigned};
use super::clock::Clock;
use super::in_process::InProcessTable;
use super::random::entropy;

/// More than a response of DynamoDB with our items has, which are 16 MB at most.
const RESPONSE_LENGTH_MAX: usize = 32 * 1024 * 1024;

/// The retry budget is this many retries a second, and this part of the calls, over this time.
const BUDGET_RETRIES_PER_SECOND: u32 = 3;
const BUDGET_PART_OF_CALLS: f32 = 0.2;
const BUDGET_TIME: Duration = Duration::from_secs(10);

/// Statuses with which AWS says that it failed, not the request.
const TRANSIENT_STATUSES: [u16; 4] = [500, 502, 503, 504];

/// Another region wrote the item of a replicated table at the same time. The only error of our
/// operations that the SDK declares as retryable.
const REPLICATION_CONFLICT: &str = "ReplicatedWriteConflictException";

/// An operation of the SDK, such as `GetItem`, and its types.
pub trait Operation: RuntimePlugin {
    /// `GetItemInput`.
    type Input: fmt::Debug + Send + Sync + 'static;
    /// `GetItemOutput`.
    type Output: fmt::Debug + Send + Sync + 'static;
    /// `GetItemError`.
    type Error: Error + ProvideErrorMetadata + Send + Sync + 'static;
}

/// Result of a call of the operation `T`.
pub type CallResult<T> =
    Result<<T as Operation>::Output, SdkError<<T as Operation>::Error, HttpResponse>>;

/// Calls the operations of one AWS service, or of the server in this process in its place. Clones
/// share their retry budget.
#[derive(Clone)]
pub struct AwsClient {
    connector: SharedHttpConnector,
    server: Server,
}

#[derive(Clone)]
enum Server {
    Remote(Remote),
    /// Requests to it are not signed and not retried, and have no time-out.
    InProcess(Option<Arc<dyn InProcessTable>>),
}

/// A service that is called over a connection.
#[derive(Clone)]
struct Remote {
    url: String,
    signer: Arc<Signer>,
    policy: RetryPolicy,
    budget: Arc<TpsBudget>,
}

/// When a call is retried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryPolicy {
    /// At least 1.
    pub(crate) attempts_max: u32,
    pub(crate) attempt_timeout: Duration,
    /// For all attempts, and the waits between them.
    pub(crate) call_timeout: Duration,
    /// Longest wait before the first retry, unless AWS throttles.
    pub(crate) first_backoff: Duration,
    /// Longest wait before any other retry.
    pub(crate) backoff: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum RetryReason {
    Failure,
    Throttling,
}

impl fmt::Debug for AwsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match &self.server {
            Server::Remote(remote) => Some(&remote.url),
            Server::InProcess(_) => None,
        };
        f.debug_struct("AwsClient").field("url", &url).finish()
    }
}

impl AwsClient {
    /// The service at `url`.
    pub(super) fn new(connector: SharedHttpConnector, mut url: String, signer: Signer) -> Self {
        // The path of an operation is `/`, below that of the URL.
        if !url.ends_with('/') {
            url.push('/');
        }
        let budget = TpsBudget::new(BUDGET_TIME, BUDGET_RETRIES_PER_SECOND, BUDGET_PART_OF_CALLS);
        let remote = Remote {
            url,
            signer: Arc::new(signer),
            policy: RetryPolicy::DEFAULT,
            budget: Arc::new(budget),
        };
        Self {
            connector,
            server: Server::Remote(remote),
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
            server: Server::InProcess(table),
        }
    }

    /// The same service, with a single attempt for each call, and this time-out. Without effect on
    /// a server in this process.
    #[must_use]
    pub fn without_retries(mut self, timeout: Duration) -> Self {
        if let Server::Remote(remote) = &mut self.server {
            remote.policy = RetryPolicy {
                attempts_max: 1,
                attempt_timeout: timeout,
                call_timeout: timeout,
                ..remote.policy
            };
        }
        self
    }

    /// The same service through another connector, with another policy.
    #[cfg(test)]
    pub(crate) fn through(mut self, connector: SharedHttpConnector, policy: RetryPolicy) -> Self {
        self.connector = connector;
        if let Server::Remote(remote) = &mut self.server {
            remote.policy = policy;
        }
        self
    }

    /// The table that gets, puts and updates items in this process.
    #[must_use]
    pub fn table(&self) -> Option<&Arc<dyn InProcessTable>> {
        match &self.server {
            Server::Remote(_) => None,
            Server::InProcess(table) => table.as_ref(),
        }
    }

    /// Sends `input` to `operation`, such as `GetItem::new()`, and parses the response. Retries
    /// transient errors.
    ///
    /// # Errors
    /// That of the last attempt.
    pub async fn call<T: Operation>(
        &self,
        operation: T,
        input: Result<T::Input, BuildError>,
    ) -> CallResult<T> {
        let prepared = self.prepare(&operation, input);
        let prepared = prepared.map_err(SdkError::construction_failure)?;
        // The futures are large, and those of the use cases would contain several of them.
        Box::pin(async {
            match &self.server {
                Server::Remote(remote) => self.call_remote::<T>(remote, &prepared).await,
                Server::InProcess(_) => self.attempt::<T>(&prepared).await,
            }
        })
        .await
    }

    /// Signs once: AWS accepts a signature for minutes, longer than all retries take.
    fn prepare<T: Operation>(
        &self,
        operation: &T,
        input: Result<T::Input, BuildError>,
    ) -> Result<PreparedCall, BoxError> {
        let mut prepared = PreparedCall::serialize(operation, input?)?;
        if let Server::Remote(remote) = &self.server {
            remote.sign(&mut prepared.request)?;
        }
        Ok(prepared)
    }

    async fn call_remote<T: Operation>(
        &self,
        remote: &Remote,
        prepared: &PreparedCall,
    ) -> CallResult<T> {
        let policy = remote.policy;
        let until = Instant::now() + policy.call_timeout;
        remote.budget.deposit();
        let mut failures = 0;
        loop {
            let attempt_until = until.min(Instant::now() + policy.attempt_timeout);
            let error = match timeout_at(attempt_until, self.attempt::<T>(prepared)).await {
                Ok(Ok(output)) => return Ok(output),
                Ok(Err(error)) => error,
                Err(elapsed) => SdkError::timeout_error(elapsed),
            };
            let Some(reason) = retry_reason(&error) else {
                return Err(error);
            };
            failures += 1;
            let retry_at = Instant::now() + policy.backoff_after(failures, reason);
            let may_retry = failures < policy.attempts_max && retry_at < until;
            if !may_retry || !remote.budget.withdraw() {
                return Err(error);
            }
            tokio::time::sleep_until(retry_at).await;
        }
    }

    async fn attempt<T: Operation>(&self, prepared: &PreparedCall) -> CallResult<T> {
        let request = prepared.request.try_clone();
        let request = request
            .ok_or_else(|| SdkError::construction_failure("the request cannot be cloned"))?;
        let response = self.connector.call(request).await;
        let mut response = response.map_err(SdkError::dispatch_failure)?;
        if response.body().bytes().is_none() {
            let body = Limited::new(response.take_body(), RESPONSE_LENGTH_MAX);
            match body.collect().await {
                Ok(body) => *response.body_mut() = SdkBody::from(body.to_bytes()),
                Err(error) => return Err(SdkError::response_error(error, response)),
            }
        }
        let parsed = prepared.parse::<T>(&response);
        parsed.map_err(|error| match error {
            Some(error) => SdkError::service_error(error, response),
            None => SdkError::response_error("the response is not one of the operation", response),
        })
    }
}

impl Remote {
    /// Addresses and signs `request`.
    fn sign(&self, request: &mut HttpRequest) -> Result<(), BoxError> {
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

impl RetryPolicy {
    /// DynamoDB normally responds within milliseconds, so a longer wait is better spent on a retry.
    /// The first failure is mostly a closed connection, so the first retry comes soon; the others
    /// survive an outage of a second or two. The call ends before the apps that call our API give
    /// up.
    const DEFAULT: Self = Self {
        attempts_max: 4,
        attempt_timeout: Duration::from_secs(1),
        call_timeout: Duration::from_secs(3),
        first_backoff: Duration::from_millis(25),
        backoff: Duration::from_secs(1),
    };

    /// A random wait, so that clients that failed together do not return together.
    fn backoff_after(self, failures: u32, reason: RetryReason) -> Duration {
        let longest = match (reason, failures) {
            (RetryReason::Failure, 1) => self.first_backoff,
            _ => self.backoff,
        };
        longest.mul_f64(entropy().random_range(0.0..=1.0))
    }
}

/// Why a call with `error` is retried; `None` if it is not.
fn retry_reason<E>(error: &SdkError<E, HttpResponse>) -> Option<RetryReason>
where
    E: ProvideErrorMetadata,
{
    let is_failure = match error {
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or_default();
            if THROTTLING_ERRORS.contains(&code) {
                return Some(RetryReason::Throttling);
            }
            let status = service.raw().status().as_u16();
            TRANSIENT_ERRORS.contains(&code)
                || TRANSIENT_STATUSES.contains(&status)
                || code == REPLICATION_CONFLICT
        }
        _ => false,
    };
    is_failure.then_some(RetryReason::Failure)
}

/// The request of one call, and the SDK's code that parses its response.
struct PreparedCall {
    request: HttpRequest,
    config: ConfigBag,
}

impl PreparedCall {
    fn serialize<T: Operation>(operation: &T, input: T::Input) -> Result<Self, BoxError> {
        let mut config = ConfigBag::base();
        if let Some(layer) = operation.config() {
            config.push_shared_layer(layer);
        }
        let serializer = config.load::<SharedRequestSerializer>().cloned();
        let serializer = serializer.ok_or("the operation has no serializer")?;
        let request = serializer.serialize_input(Input::erase(input), &mut config)?;
        Ok(Self { request, config })
    }

    /// Parses a response with its whole body: the output, or the error of the service; `None` if it
    /// is neither.
    fn parse<T: Operation>(&self, response: &HttpResponse) -> Result<T::Output, Option<T::Error>> {
        let deserializer = self.config.load::<SharedResponseDeserializer>();
        let deserializer = deserializer.ok_or(None)?;
        let parsed = deserializer.deserialize_nonstreaming_with_config(response, &self.config);
        match parsed {
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
    use std::future::pending;
    use std::sync::Mutex;

    use aws_sdk_dynamodb::operation::get_item::{GetItem, GetItemInput};
    use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;
    use crate::platform::aws_signature::AwsCredentials;

    /// The outcome of one attempt.
    #[derive(Clone, Copy, Debug)]
    enum Outcome {
        Found,
        /// Status and code.
        Rejected(u16, &'static str),
        NotConnected,
        WrongClock,
        NoResponse,
        /// A status without a document.
        Page(u16),
        /// A head, and then nothing.
        Head,
        TooLong,
    }
    use Outcome::{Found, Head, NoResponse, NotConnected, Page, Rejected, TooLong, WrongClock};

    const THROTTLED: Outcome = Rejected(400, "ProvisionedThroughputExceededException");

    /// Has an outcome for each attempt, in this order.
    #[derive(Clone, Debug)]
    struct ScriptedConnector(Arc<Mutex<VecDeque<Outcome>>>);

    impl HttpConnector for ScriptedConnector {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            assert_eq!(request.uri(), "https://table/");
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
                Some(Page(status)) => respond(status, "<html>".into()),
                Some(Head) => {
                    let body = Full::<Bytes>::default().with_trailers(pending());
                    respond(200, SdkBody::from_body_1_x(body))
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
                Some(NoResponse) => HttpConnectorFuture::new(pending()),
                None => panic!("an attempt too many"),
            }
        }
    }

    impl ScriptedConnector {
        fn new(outcomes: &[Outcome]) -> (Self, AwsClient) {
            let connector = Self(Arc::new(Mutex::new(outcomes.iter().copied().collect())));
            let shared = SharedHttpConnector::new(connector.clone());
            let signer = Signer::new(AwsCredentials::default(), "eu-west-1".into(), "dynamodb");
            let client = AwsClient::new(shared, "https://table".into(), signer);
            (connector, client)
        }

        /// With short waits, so that the time-out of a call does not end it.
        fn retried_at_once(&self, client: AwsClient) -> AwsClient {
            let policy = RetryPolicy {
                first_backoff: Duration::from_millis(1),
                backoff: Duration::from_millis(1),
                ..RetryPolicy::DEFAULT
            };
            client.through(SharedHttpConnector::new(self.clone()), policy)
        }

        /// The number of unused outcomes.
        fn unused(&self) -> usize {
            self.0.lock().expect("no panic").len()
        }
    }

    async fn read(client: &AwsClient) -> CallResult<GetItem> {
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
            Page(502),
            Head,
        ] {
            let (connector, client) = ScriptedConnector::new(&[failure, Found]);
            let read = read(&client).await;
            assert!(read.is_ok(), "{failure:?}: {read:?}");
            assert_eq!(connector.unused(), 0);
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
            Page(302),
        ] {
            let (connector, client) = ScriptedConnector::new(&[failure, Found]);
            let read = read(&client).await;
            assert!(read.is_err(), "{failure:?}");
            assert_eq!(connector.unused(), 1, "{failure:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_limited() {
        for failure in [NotConnected, THROTTLED, Page(500)] {
            let (connector, client) = ScriptedConnector::new(&[failure; 9]);
            let client = connector.retried_at_once(client);
            assert!(read(&client).await.is_err(), "{failure:?}");
            assert_eq!(connector.unused(), 9 - 4, "{failure:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn call_ends_within_its_timeout() {
        for failure in [NoResponse, Head, NotConnected, THROTTLED] {
            let started = Instant::now();
            let (_, client) = ScriptedConnector::new(&[failure; 4]);
            assert!(read(&client).await.is_err(), "{failure:?}");
            let took = started.elapsed();
            // A timer is a millisecond late at most.
            let timeout = RetryPolicy::DEFAULT.call_timeout + Duration::from_millis(5);
            assert!(took <= timeout, "{failure:?}: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn call_without_retries_has_one_attempt() {
        let timeout = Duration::from_millis(100);
        for failure in [NoResponse, Head, NotConnected] {
            let started = Instant::now();
            let (connector, client) = ScriptedConnector::new(&[failure, Found]);
            assert!(
                read(&client.clone().without_retries(timeout))
                    .await
                    .is_err(),
                "{failure:?}"
            );
            assert!(started.elapsed() <= 2 * timeout, "{failure:?}");
            assert_eq!(connector.unused(), 1, "{failure:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn budget_limits_retries() {
        let (connector, client) = ScriptedConnector::new(&[NotConnected; 4000]);
        let client = connector.retried_at_once(client);
        for _ in 0..1000 {
            assert!(read(&client).await.is_err());
        }
        // Thirty in ten seconds, and one for every five calls.
        let retries = 3000 - connector.unused();
        assert!((200..=300).contains(&retries), "{retries}");
    }

    #[test]
    fn backoff_is_short_before_the_first_retry_only() {
        let policy = RetryPolicy::DEFAULT;
        for (reason, failures, longest) in [
            (RetryReason::Failure, 1, policy.first_backoff),
            (RetryReason::Failure, 2, policy.backoff),
            (RetryReason::Throttling, 1, policy.backoff),
            (RetryReason::Throttling, 2, policy.backoff),
        ] {
            let waits = (0..100).map(|_| policy.backoff_after(failures, reason));
            let wait = waits.max().unwrap_or_default();
            // Of a hundred random ones, the longest is in the upper half.
            assert!(
                (longest / 2..=longest).contains(&wait),
                "{reason:?} {failures}: {wait:?}"
            );
        }
    }
}
