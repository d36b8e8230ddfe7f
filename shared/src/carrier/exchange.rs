//! One HTTP round trip: bounded in time and size. The only file that names the HTTP client.
//! Must never follow a redirect, or log a body, a header or an answer.

use std::time::Duration;

use ::http::header::{HeaderValue, USER_AGENT};
use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};

use super::Receipt;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// What carriers see as the caller.
const CLIENT_NAME: &str = "lambda-otp carrier-client";
/// To open a connection to a carrier: a host that is not there is known as such, not as an unknown outcome.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// The HTTP client, with one connection pool.
pub struct Exchange(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Default for Exchange {
    /// Without the system's root certificates no https host is trusted, which is no reason not to start: carriers at
    /// home speak plain HTTP.
    fn default() -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let roots = HttpsConnectorBuilder::new().with_native_roots().unwrap_or_else(|error| {
            tracing::warn!(error.kind = "no_root_certificates", error.cause = error.to_string(), "no https carrier can be trusted");
            let nobody = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
            HttpsConnectorBuilder::new().with_tls_config(nobody)
        });
        let tls = roots.https_or_http().enable_all_versions().wrap_connector(tcp);
        Self(Client::builder(TokioExecutor::new()).build(tls))
    }
}

impl Exchange {
    /// Sends `request` and reads the answer within `timeout`.
    ///
    /// # Errors
    /// Whether the other side may have the request: `Transient` if there was no connection, else `Unknown`.
    pub async fn round_trip(&self, request: Request<String>, timeout: Duration) -> Result<Response<Vec<u8>>, Receipt> {
        let mut request = request.map(|body| Full::new(Bytes::from(body)));
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(CLIENT_NAME));
        let round_trip = async {
            let answer = self.0.request(request).await.map_err(|error| {
                // Without a connection nothing was sent; after that nobody knows.
                if error.is_connect() { Receipt::Transient { retry_after_seconds: None } } else { Receipt::Unknown }
            })?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map(|body| body.to_bytes().to_vec());
            // The status alone says enough where the body is cut or too long.
            Ok(Response::from_parts(parts, body.unwrap_or_default()))
        };
        tokio::time::timeout(timeout, round_trip).await.unwrap_or(Err(Receipt::Unknown))
    }
}
