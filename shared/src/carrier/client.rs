//! The HTTP client for carriers and for SNS: one round trip, bounded in time and size.
//!
//! Invariant: it follows no redirect. It logs nothing, and its errors contain no URL, header or
//! body.

use std::error::Error;
use std::time::Duration;

use ::http::header::{HeaderValue, USER_AGENT};
use ::http::{Request, Response};
use bytes::Bytes;
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

/// An HTTP client with a connection pool.
pub struct CarrierClient(https::Client<Full<Bytes>>);

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There was no connection, so nothing was sent.
    #[error("could not connect")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
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
            Self::Connect(_) => Receipt::Transient {
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
        let mut request = request.map(|body| Full::new(Bytes::from(body)));
        request
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_NAME));
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
        tokio::time::timeout(timeout, round_trip)
            .await
            .unwrap_or(Err(ClientError::Timeout(timeout)))
    }
}
