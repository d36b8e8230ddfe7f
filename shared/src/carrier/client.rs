//! The HTTP client for carriers and for SNS: one round trip, bounded in time and size.
//!
//! Invariant: it follows no redirect. It logs nothing, and its errors contain no URL, header or
//! body.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::http::header::{CONTENT_LENGTH, HeaderValue, USER_AGENT};
use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};

use super::carrier_trait::Receipt;
use crate::platform::https;

/// Longest response body that is read.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;
/// The `User-Agent` header.
const USER_AGENT_NAME: &str = "lambda-otp carrier-client";
/// Time to open a connection. It is shorter than the time-out of a carrier, so that a host that is
/// down gives a connection error, not an unknown outcome.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// A request body that notes when a connection takes it.
type TrackedBody = UnsyncBoxBody<Bytes, Infallible>;

/// An HTTP client with a connection pool, which clones share.
#[derive(Clone)]
pub struct CarrierClient(https::Client<TrackedBody>);

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There was no connection, so nothing was sent.
    #[error("could not connect")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// The time was over before there was a connection, so nothing was sent.
    #[error("no connection within {} ms", .0.as_millis())]
    ConnectTimeout(Duration),
    /// The connection failed after the request may have been sent.
    #[error("the connection failed before the response")]
    Interrupted(#[source] Box<dyn Error + Send + Sync>),
    /// The time was over.
    #[error("no response within {} ms", .0.as_millis())]
    Timeout(Duration),
}

impl ClientError {
    /// Whether the carrier may have the message: `Transient` if nothing was sent, else `Unknown`.
    #[must_use]
    pub fn receipt(&self) -> Receipt {
        match self {
            Self::Connect(_) | Self::ConnectTimeout(_) => Receipt::Transient {
                retry_after_seconds: None,
            },
            Self::Interrupted(_) | Self::Timeout(_) => Receipt::Unknown,
        }
    }
}

impl Default for CarrierClient {
    fn default() -> Self {
        Self(https::client(CONNECT_TIMEOUT))
    }
}

impl CarrierClient {
    /// Sends `request` and reads the response within `timeout`. A body that is cut off or longer
    /// than 64 KiB is returned empty: the status alone is enough to classify the response.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn send(
        &self,
        request: Request<String>,
        timeout: Duration,
    ) -> Result<Response<Vec<u8>>, ClientError> {
        // An empty body is never taken: then any request counts as sent.
        let body_bytes = request.body().len();
        let is_sent = Arc::new(AtomicBool::new(body_bytes == 0));
        let mut request = request.map(|body| tracked(body, is_sent.clone()));
        request
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_NAME));
        if body_bytes > 0 {
            // A tracked body does not state its length, and not every vendor reads chunks.
            request
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from(body_bytes));
        }
        let round_trip = async {
            let response = self.0.request(request).await.map_err(|error| {
                if error.is_connect() {
                    ClientError::Connect(error.into())
                } else {
                    ClientError::Interrupted(error.into())
                }
            })?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, RESPONSE_BYTES_MAX)
                .collect()
                .await
                .map(|body| body.to_bytes().to_vec());
            Ok(Response::from_parts(parts, body.unwrap_or_default()))
        };
        let result = tokio::time::timeout(timeout, round_trip).await;
        result.unwrap_or_else(|_| match is_sent.load(Ordering::Relaxed) {
            true => Err(ClientError::Timeout(timeout)),
            false => Err(ClientError::ConnectTimeout(timeout)),
        })
    }
}

/// `body`, which sets `is_sent` when a connection takes it.
fn tracked(body: String, is_sent: Arc<AtomicBool>) -> TrackedBody {
    let body = Full::new(Bytes::from(body));
    let noting = body.map_frame(move |frame| {
        is_sent.store(true, Ordering::Relaxed);
        frame
    });
    noting.boxed_unsync()
}
