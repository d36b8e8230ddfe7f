//! Fetches the certificates of SNS, and confirms subscriptions.
//!
//! Invariant: it calls `SnsUrl`s only, and follows no redirect. Its errors contain no URL.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::http::{Request, StatusCode};

use super::certificate::Certificate;
use super::url::SnsUrl;
use crate::carrier::client::{CarrierClient, ClientError};

/// Time for a certificate, or for a confirmation. Both of them, and a write to the table, fit into
/// one invocation.
const FETCH_TIMEOUT: Duration = Duration::from_millis(2500);
/// Most certificates that are cached: one for each region, and its successor during a rotation.
const CERTIFICATES_MAX: usize = 8;

/// An HTTP client for SNS with a cache of certificates.
pub struct SnsClient {
    client: CarrierClient,
    endpoint_url: Option<String>,
    /// The oldest first.
    certificates: Mutex<Vec<(SnsUrl, Certificate)>>,
}

/// Why SNS could not be used. The sender of the envelope should try again later.
#[derive(Debug, thiserror::Error)]
pub enum SnsError {
    /// The URL is not one that can be requested.
    #[error("the request to SNS is not valid")]
    Request(#[from] ::http::Error),
    /// SNS did not respond.
    #[error("no response from SNS")]
    NoResponse(#[from] ClientError),
    /// SNS responded with an error, or with a redirect.
    #[error("SNS responded with status {0}")]
    Status(StatusCode),
    /// The response is not a certificate.
    #[error("SNS responded with something that is not a certificate")]
    NotACertificate,
}

impl SnsClient {
    /// `endpoint_url` replaces the hosts of SNS, in the local server and in tests.
    #[must_use]
    pub fn new(endpoint_url: Option<&str>) -> Self {
        let endpoint_url = endpoint_url.map(|url| url.trim_end_matches('/').to_owned());
        Self {
            client: CarrierClient::default(),
            endpoint_url,
            certificates: Mutex::default(),
        }
    }

    /// The certificate at `url`, from the cache or from SNS.
    ///
    /// # Errors
    /// [`SnsError`]. An error is not cached.
    pub async fn certificate(&self, url: &SnsUrl) -> Result<Certificate, SnsError> {
        if let Some(certificate) = self.cached(url) {
            return Ok(certificate);
        }
        let pem = self.fetch(url).await?;
        let certificate = Certificate::parse(&pem).ok_or(SnsError::NotACertificate)?;
        self.cache(url, &certificate);
        Ok(certificate)
    }

    /// Confirms a subscription, by fetching `url`.
    ///
    /// # Errors
    /// [`SnsError`].
    pub async fn confirm_subscription(&self, url: &SnsUrl) -> Result<(), SnsError> {
        self.fetch(url).await.map(drop)
    }

    fn cached(&self, url: &SnsUrl) -> Option<Certificate> {
        let cache = self
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        cache
            .iter()
            .find(|(cached_url, _)| cached_url == url)
            .map(|(_, certificate)| certificate.clone())
    }

    /// Adds a certificate, and removes the oldest if there are too many. Another call may have
    /// added it in the meantime.
    fn cache(&self, url: &SnsUrl, certificate: &Certificate) {
        let mut cache = self
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if cache.iter().all(|(cached_url, _)| cached_url != url) {
            let surplus = (cache.len() + 1).saturating_sub(CERTIFICATES_MAX);
            cache.drain(..surplus);
            cache.push((url.clone(), certificate.clone()));
        }
    }

    /// One GET; an error unless the status is 200.
    async fn fetch(&self, url: &SnsUrl) -> Result<Vec<u8>, SnsError> {
        let uri = match &self.endpoint_url {
            Some(endpoint_url) => format!("{endpoint_url}/{}", url.path()),
            None => url.as_str().to_owned(),
        };
        let request = Request::get(uri).body(String::new())?;
        let response = self.client.send(request, FETCH_TIMEOUT).await?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            status => Err(SnsError::Status(status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::super::fixture::{
        CERTIFICATE, certificate, notification_v2, subscription_confirmation_v2,
    };
    use super::*;

    /// A client, and a server that sends `responses`, one for each connection, and returns the
    /// first lines of the requests.
    fn client_and_server(responses: Vec<String>) -> (SnsClient, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint_url = format!("http://{}/", listener.local_addr().expect("an address"));
        let server = std::thread::spawn(move || {
            let requests = responses.into_iter().map(|response| {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut request = [0; 4096];
                let length = stream.read(&mut request).expect("a request");
                stream.write_all(response.as_bytes()).ok();
                String::from_utf8_lossy(&request[..length])
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            });
            requests.collect()
        });
        (SnsClient::new(Some(&endpoint_url)), server)
    }

    fn response(status: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    fn certificate_url(name: &str) -> SnsUrl {
        let host = "https://sns.eu-west-1.amazonaws.com";
        SnsUrl::of_certificate(&format!("{host}/SimpleNotificationService-{name}.pem"))
            .expect("a URL of SNS")
    }

    #[tokio::test]
    async fn certificate_is_fetched_once() {
        let (client, server) = client_and_server(vec![response("200 OK", CERTIFICATE)]);
        let notification = notification_v2();
        let url = notification["SigningCertURL"].as_str().expect("a text");
        let url = SnsUrl::of_certificate(url).expect("a URL of SNS");
        for _ in 0..3 {
            let fetched = client
                .certificate(&url)
                .await
                .unwrap_or_else(|error| panic!("{error}"));
            assert!(fetched == certificate(CERTIFICATE));
        }
        let path = "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem";
        assert_eq!(
            server.join().expect("the requests"),
            [format!("GET {path} HTTP/1.1")]
        );
    }

    #[tokio::test]
    async fn subscription_is_confirmed_at_its_url() {
        let (client, server) =
            client_and_server(vec![response("200 OK", "<ConfirmSubscriptionResponse/>")]);
        let confirmation = subscription_confirmation_v2();
        let url = confirmation["SubscribeURL"].as_str().expect("a text");
        client
            .confirm_subscription(&SnsUrl::of_confirmation(url).expect("a URL of SNS"))
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let query = "/?Action=ConfirmSubscription\
            &TopicArn=arn:aws:sns:eu-west-1:123456789012:otp-dlr&Token=2336412f37";
        assert_eq!(
            server.join().expect("the requests"),
            [format!("GET {query} HTTP/1.1")]
        );
    }

    #[tokio::test]
    async fn errors_are_not_cached() {
        let redirect = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/x.pem\r\n\
            content-length: 0\r\nconnection: close\r\n\r\n"
            .to_owned();
        let huge = response("200 OK", &format!("{CERTIFICATE}{}", "a".repeat(100_000)));
        let errors = [
            redirect,
            response("404 Not Found", CERTIFICATE),
            response("500 Internal Server Error", ""),
            response("200 OK", "<html>"),
            huge,
        ];
        let count = errors.len();
        let responses = errors.into_iter().chain([response("200 OK", CERTIFICATE)]);
        let (client, server) = client_and_server(responses.collect());
        for _ in 0..count {
            assert!(client.certificate(&certificate_url("0")).await.is_err());
        }
        assert!(client.certificate(&certificate_url("0")).await.is_ok());
        assert_eq!(server.join().expect("the requests").len(), count + 1);
    }

    #[tokio::test]
    async fn unreachable_sns_is_an_error() {
        let closed = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("an address");
        let client = SnsClient::new(Some(&format!("http://{closed}")));
        assert!(client.certificate(&certificate_url("0")).await.is_err());
    }

    #[tokio::test]
    async fn number_of_cached_certificates_is_limited() {
        let responses = vec![response("200 OK", CERTIFICATE); CERTIFICATES_MAX + 3];
        let (client, server) = client_and_server(responses);
        for name in 0..CERTIFICATES_MAX + 3 {
            let url = certificate_url(&name.to_string());
            assert!(client.certificate(&url).await.is_ok());
        }
        let cached = client.certificates.lock().expect("not poisoned").len();
        assert_eq!(
            (cached, server.join().expect("the requests").len()),
            (CERTIFICATES_MAX, CERTIFICATES_MAX + 3)
        );
    }
}
