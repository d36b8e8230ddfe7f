//! HTTPS client: the AWS clients and the carrier client send through it. HTTP/1.1, one connection
//! pool for each client, the system's root certificates read once. The only file that names the
//! HTTP client and its TLS.
//!
//! Invariant: only certificates that the system trusts are trusted.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use base64_simd::STANDARD as BASE64;
use http::{Request, Uri};
use http_body_util::BodyExt;
use hyper_rustls::{
    ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream,
};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower_service::Service;

use crate::platform::environment::variable;

/// Sends requests with a body of type `B`, over TLS where the URL says `https`. Clones share the
/// connections.
#[derive(Debug)]
pub struct Client<B> {
    pool: legacy::Client<TimedConnector, B>,
    /// How many connections are being opened.
    opening: watch::Receiver<usize>,
}

impl<B> Clone for Client<B> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            opening: self.opening.clone(),
        }
    }
}

impl<B> Client<B>
where
    B: BodyExt + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Sends `request` over a connection of the pool, or over a new one.
    pub fn request(&self, request: Request<B>) -> ResponseFuture {
        self.pool.request(request)
    }

    /// Waits until no connection is being opened, also none for a request that found another one
    /// free meanwhile. On the one thread of a function, it is in the pool then.
    pub async fn opened(&self) {
        let mut opening = self.opening.clone();
        let _ = opening.wait_for(|count| *count == 0).await;
    }
}

/// Opens connections: TCP, and TLS where the URL says `https`, together within a time limit. A host
/// that accepts the connection and then never answers the TLS handshake is one that was not
/// reached.
#[derive(Clone)]
struct TimedConnector {
    connector: HttpsConnector<HttpConnector>,
    timeout: Duration,
    opening: watch::Sender<usize>,
}

/// Counts a connection that is being opened until it is dropped.
struct Opening(watch::Sender<usize>);

impl Opening {
    fn new(count: watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

type Connection = MaybeHttpsStream<TokioIo<TcpStream>>;

impl Service<Uri> for TimedConnector {
    type Response = Connection;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connected = tokio::time::timeout(self.timeout, self.connector.call(url));
        let opening = Opening::new(self.opening.clone());
        Box::pin(async {
            let _opening = opening;
            connected.await?
        })
    }
}

/// Whether no connection was opened, so that nothing was sent.
#[must_use]
pub fn is_not_connected(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error
            .downcast_ref::<legacy::Error>()
            .is_some_and(legacy::Error::is_connect)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The files in which Amazon Linux and Debian keep all root certificates that they trust.
const ROOT_CERTIFICATE_FILES: [&str; 2] = [
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
];

/// How many bytes of such a file are read at once.
const PIECE_LENGTH: usize = 16 * 1024;

/// Longer than the base64 of most root certificates.
const BASE64_LENGTH: usize = 4096;

/// A client with its own connection pool. `connect_timeout` is the limit for opening a connection:
/// TCP and TLS together.
#[must_use]
pub fn client<B>(connect_timeout: Duration) -> Client<B>
where
    B: BodyExt + Send,
    B::Data: Send,
{
    static TLS: OnceLock<ClientConfig> = OnceLock::new();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let https = HttpsConnectorBuilder::new().with_tls_config(TLS.get_or_init(tls_config).clone());
    let (sender, opening) = watch::channel(0);
    let pool = legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(TimedConnector {
            connector: https.https_or_http().enable_http1().wrap_connector(tcp),
            timeout: connect_timeout,
            opening: sender,
        });
    Client { pool, opening }
}

/// TLS that trusts the system's root certificates. A system without any can still start, because
/// the local server speaks plain HTTP only: then every `https` call fails.
fn tls_config() -> ClientConfig {
    let from_file = root_certificates_of_file();
    if !from_file.is_empty() {
        return ClientConfig::builder()
            .with_root_certificates(from_file)
            .with_no_client_auth();
    }
    match ClientConfig::builder().with_native_roots() {
        Ok(native) => native.with_no_client_auth(),
        Err(error) => {
            tracing::warn!(
                error.kind = "no_root_certificates",
                error.cause = error.to_string(),
                "no root certificates found; all calls to https hosts will fail"
            );
            ClientConfig::builder()
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth()
        }
    }
}

/// The root certificates of the file that `SSL_CERT_FILE` names, or else of the system's file.
/// Empty if none can be read or `SSL_CERT_DIR` is set: then the TLS library searches for them,
/// more slowly.
fn root_certificates_of_file() -> RootCertStore {
    let configured = |name| variable(name).filter(|path| !path.is_empty());
    if configured("SSL_CERT_DIR").is_some() {
        return RootCertStore::empty();
    }
    let read = match configured("SSL_CERT_FILE") {
        Some(path) => root_certificates(&path).ok(),
        None => ROOT_CERTIFICATE_FILES
            .iter()
            .find_map(|path| root_certificates(path).ok()),
    };
    read.unwrap_or_else(RootCertStore::empty)
}

/// The certificates of the PEM file at `path`. Those that the TLS library cannot read are left out,
/// as it does itself.
///
/// # Errors
/// The file cannot be read, or not to its end.
fn root_certificates(path: &str) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    read_certificates(File::open(path)?, |der| drop(roots.add(der)))?;
    Ok(roots)
}

/// Reads a PEM file and passes each certificate to `take`. The file is read in pieces: as a whole
/// it would be 2 % of the memory of `send`.
///
/// `rustls_pki_types::pem` reads the same, but decodes base64 in constant time, as for private
/// keys: 8.0 million instructions for Debian's 144 root certificates, against 1.1 million here. The
/// whole start of `verify` takes about 6 million.
fn read_certificates(
    mut file: impl Read,
    mut take: impl FnMut(CertificateDer<'static>),
) -> io::Result<()> {
    // Complete lines, and the beginning of the next one.
    let mut piece = Vec::with_capacity(2 * PIECE_LENGTH);
    // The base64 of the certificate that has begun.
    let mut body = None;
    while (&mut file)
        .take(PIECE_LENGTH as u64)
        .read_to_end(&mut piece)?
        > 0
    {
        let lines = memchr::memrchr(b'\n', &piece).map_or(0, |end| end + 1);
        read_lines(&piece[..lines], &mut body, &mut take);
        piece.drain(..lines);
    }
    read_lines(&piece, &mut body, &mut take);
    Ok(())
}

/// Continues with `lines` the certificate whose base64 so far is `body`.
fn read_lines(
    lines: &[u8],
    body: &mut Option<Vec<u8>>,
    mut take: impl FnMut(CertificateDer<'static>),
) {
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', lines).chain([lines.len()]) {
        let line = lines[start..end].trim_ascii();
        start = (end + 1).min(lines.len());
        if line == b"-----BEGIN CERTIFICATE-----" {
            *body = Some(Vec::with_capacity(BASE64_LENGTH));
        } else if line == b"-----END CERTIFICATE-----" {
            if let Some(Ok(der)) = body.take().map(|body| BASE64.decode_to_vec(body)) {
                take(der.into());
            }
        } else if let Some(body) = body {
            body.extend_from_slice(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64 as ENCODER;
    use rustls_pki_types::pem::PemObject as _;

    use super::*;

    /// A file whose disk fails.
    struct FailingRead;

    impl Read for FailingRead {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk failed"))
        }
    }

    fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
        let mut read = vec![];
        read_certificates(pem.as_bytes(), |der| read.push(der)).expect("bytes");
        read
    }

    #[test]
    fn certificates_equal_those_of_the_tls_library() {
        let mut pem = String::from("# a comment\n");
        for length in [1, 47, 48, 49, 1200, 40_000] {
            let der: Vec<u8> = (0..length)
                .map(|n| u8::try_from(n % 251).unwrap_or(0))
                .collect();
            let base64 = ENCODER.encode(&der);
            let lines: Vec<&str> = base64
                .as_bytes()
                .chunks(64)
                .filter_map(|line| std::str::from_utf8(line).ok())
                .collect();
            pem += &format!(
                "name\n-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
                lines.join("\n")
            );
        }
        for pem in [pem.clone(), pem.replace('\n', "\r\n")] {
            let ours = certificates(&pem);
            let theirs: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
                .filter_map(Result::ok)
                .collect();
            assert_eq!((ours.len(), ours), (6, theirs));
        }
    }

    #[test]
    fn file_without_a_readable_end_has_no_certificates() {
        assert!(root_certificates("/").is_err());
        let certificate = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
        let pem = certificate.repeat(1000);
        let file = pem.as_bytes().chain(FailingRead);
        assert!(read_certificates(file, drop).is_err());
    }

    #[test]
    fn truncated_or_altered_certificates_are_skipped() {
        let truncated = "-----BEGIN CERTIFICATE-----\nAQID\n";
        assert_eq!(certificates(truncated), []);
        let altered = format!(
            "{truncated}-----END CERTIFICATE-----\n\
             -----BEGIN CERTIFICATE-----\nAQ*D\n-----END CERTIFICATE-----\n"
        );
        assert_eq!(certificates(&altered), [vec![1, 2, 3].into()]);
    }
}
