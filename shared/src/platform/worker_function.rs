//! The function `carrier-worker`, which `send` invokes itself, without waiting for its result.
//! Lambda stores the event before it answers, and repeats a failed invocation twice:
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html>. That costs no request to
//! SQS.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::aws::Aws;
use super::aws_connector::trace_header;
use super::clock::Clock;
use super::queue::Dispatch;

/// Limit for an invocation.
const INVOKE_TIME_MAX: Duration = Duration::from_secs(1);

/// So long after a failure the function is not invoked: while Lambda does not answer, each send
/// would wait for it.
const PAUSE_SECONDS: i64 = 30;

/// The function. Clones share its pauses.
#[derive(Clone)]
pub struct WorkerFunction {
    aws: Aws,
    /// Of the operation `Invoke`.
    url: String,
    clock: Clock,
    /// In seconds since 1970.
    paused_until: Arc<AtomicI64>,
}

/// The function was not invoked, or it is not known whether it was.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The dispatch is not JSON.
    #[error("the dispatch cannot be written")]
    Body(#[from] serde_json::Error),
    /// The URL or a header is invalid.
    #[error("the request cannot be made")]
    Request(#[from] http::Error),
    /// No response.
    #[error("the request to Lambda failed")]
    Connection(#[source] Box<dyn Error + Send + Sync>),
    /// Another status than 202.
    #[error("Lambda answered {status} ({kind})")]
    Status {
        /// The status.
        status: StatusCode,
        /// Such as `AccessDeniedException`.
        kind: String,
    },
    /// No response in time.
    #[error("Lambda did not answer in time")]
    TimedOut,
}

/// Opens the connection to the host of `url`, which the first invocation will use. A failure is
/// ignored: that invocation will report it.
pub async fn warm_up(aws: &Aws, url: &str) {
    aws.host_of(url).connect(1).await;
}

impl WorkerFunction {
    /// The function that is invoked at `url`.
    #[must_use]
    pub fn new(aws: &Aws, url: String, clock: Clock) -> Self {
        let (aws, paused_until) = (aws.clone(), Arc::default());
        Self {
            aws,
            url,
            clock,
            paused_until,
        }
    }

    /// Whether an invocation has failed in the last 30 seconds.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.clock.now().0 < self.paused_until.load(Ordering::Relaxed)
    }

    /// Invokes the function with `dispatch`, within half of the time until `until`, so that there
    /// is time to enqueue it instead, and within a second. A failure begins a pause.
    ///
    /// # Errors
    /// [`InvokeError`].
    pub async fn invoke(&self, dispatch: &Dispatch, until: Instant) -> Result<(), InvokeError> {
        let time_left = until.saturating_duration_since(Instant::now());
        let invoked = async {
            match self.request(dispatch).await {
                // Lambda closes idle connections. If it got the request, the worker gets two.
                Err(InvokeError::Connection(_)) => self.request(dispatch).await,
                invoked => invoked,
            }
        };
        let invoked = tokio::time::timeout(INVOKE_TIME_MAX.min(time_left / 2), invoked).await;
        let invoked = invoked.unwrap_or(Err(InvokeError::TimedOut));
        if invoked.is_err() {
            let paused_until = self.clock.now().0 + PAUSE_SECONDS;
            self.paused_until.store(paused_until, Ordering::Relaxed);
        }
        invoked
    }

    async fn request(&self, dispatch: &Dispatch) -> Result<(), InvokeError> {
        let mut request = http::Request::post(&self.url)
            .header("content-type", "application/json")
            .header("x-amz-invocation-type", "Event");
        if let Some((name, trace_id)) = trace_header() {
            request = request.header(name, trace_id);
        }
        let request = request.body(dispatch.to_body()?)?;
        let sent = self.aws.send(request, "lambda", self.clock.now()).await;
        let response = sent.map_err(InvokeError::Connection)?;
        if response.status == StatusCode::ACCEPTED {
            return Ok(());
        }
        let kind = response.headers.get("x-amzn-errortype");
        let kind = kind.and_then(|kind| kind.to_str().ok());
        Err(InvokeError::Status {
            status: response.status,
            kind: kind.unwrap_or("of unknown type").to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::platform::queue::tests::{aws_at, dispatch, respond};

    const PATH: &str = "/2015-03-31/functions/otp-carrier-worker/invocations";

    /// The result of an invocation whose response has `status`, after the connection was opened.
    async fn invoke(status: &'static str) -> Result<(), InvokeError> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!(
            "http://{}{PATH}",
            listener.local_addr().expect("an address")
        );
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let opened = respond(
                &mut stream,
                "403 Forbidden",
                "<MissingAuthenticationToken/>",
            );
            (opened, respond(&mut stream, status, ""))
        });
        let aws = aws_at(&url);
        warm_up(&aws, &url).await;
        let function = WorkerFunction::new(&aws, url, Clock::default());
        let until = Instant::now() + Duration::from_secs(5);
        let invoked = function.invoke(&dispatch(), until).await;
        let (opened, sent) = server.join().expect("a server");
        assert_eq!(opened, ("get / http/1.1".to_owned(), false));
        assert_eq!(sent, (format!("post {PATH} http/1.1"), true));
        invoked
    }

    #[tokio::test]
    async fn invocation_uses_the_connection_of_warm_up() {
        let invoked = invoke("202 Accepted").await;
        assert!(invoked.is_ok(), "{invoked:?}");
    }

    #[tokio::test]
    async fn failure_begins_a_pause() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!(
            "http://{}{PATH}",
            listener.local_addr().expect("an address")
        );
        drop(listener);
        let clock = Clock::default();
        let function = WorkerFunction::new(&aws_at(&url), url, clock.clone());
        assert!(!function.is_paused());
        let until = Instant::now() + Duration::from_secs(5);
        let invoked = function.invoke(&dispatch(), until).await;
        assert!(
            matches!(invoked, Err(InvokeError::Connection(_))),
            "{invoked:?}"
        );
        assert!(function.is_paused());
        clock.advance_to_millis(clock.now_millis() + PAUSE_SECONDS * 1000);
        assert!(!function.is_paused());
    }

    #[tokio::test]
    async fn other_statuses_are_errors() {
        for status in [
            "200 OK",
            "429 Too Many Requests",
            "500 Internal Server Error",
        ] {
            let invoked = invoke(status).await;
            let error = invoked.expect_err(status).to_string();
            assert_eq!(error, format!("Lambda answered {status} (of unknown type)"));
        }
    }

    #[tokio::test]
    async fn invocation_gives_up_after_a_second() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!(
            "http://{}{PATH}",
            listener.local_addr().expect("an address")
        );
        let function = WorkerFunction::new(&aws_at(&url), url, Clock::default());
        let until = Instant::now() + Duration::from_secs(60);
        let invoked = function.invoke(&dispatch(), until).await;
        assert!(matches!(invoked, Err(InvokeError::TimedOut)), "{invoked:?}");
        assert!(Instant::now() < until);
    }
}
