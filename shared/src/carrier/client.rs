//! One HTTP round trip with a carrier: bounded in time and size.
//! Must never follow a redirect, or log a body, a header or an answer.

use std::time::Duration;

use ::http::header::{HeaderValue, USER_AGENT};
use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};

use super::Receipt;
use crate::platform::https;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// What carriers see as the caller.
const CLIENT_NAME: &str = "lambda-otp carrier-client";
/// To open a connection to a carrier: a host that is not there is known as such, not as an unknown outcome.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// The carriers' connection pool.
pub struct Exchange(https::Client<Full<Bytes>>);

impl Default for Exchange {
    fn default() -> Self {
        Self(https::client(CONNECT_TIMEOUT))
    }
}

impl Exchange {
    /// Sends `request` and reads the answer within `timeout`.
    ///
    /// # Errors
    /// Whether the other side may have the request: `Transient` if there was no connection, else `Unknown`.
    pub async fn round_trip(
        &self,
        request: Request<String>,
        timeout: Duration,
    ) -> Result<Response<Vec<u8>>, Receipt> {
        let mut request = request.map(|body| Full::new(Bytes::from(body)));
        request
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static(CLIENT_NAME));
        let round_trip = async {
            let answer = self.0.request(request).await.map_err(|error| {
                // Without a connection nothing was sent; after that nobody knows.
                if error.is_connect() {
                    Receipt::Transient {
                        retry_after_seconds: None,
                    }
                } else {
                    Receipt::Unknown
                }
            })?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX)
                .collect()
                .await
                .map(|body| body.to_bytes().to_vec());
            // The status alone says enough where the body is cut or too long.
            Ok(Response::from_parts(parts, body.unwrap_or_default()))
        };
        tokio::time::timeout(timeout, round_trip)
            .await
            .unwrap_or(Err(Receipt::Unknown))
    }
}
