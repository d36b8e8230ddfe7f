//! The HTTPS client that the AWS clients and the carriers' exchange send through: HTTP/1.1, one connection pool each, the
//! system's root certificates read once. The only file that names the HTTP client and its TLS.
//! Must never trust what the system does not.

use std::sync::OnceLock;
use std::time::Duration;

use data_encoding::BASE64;
use http_body_util::BodyExt;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;

use crate::platform::environment::environment;

/// Sends requests with a body of type `B`, over TLS where the URL says `https`.
pub type Client<B> = legacy::Client<HttpsConnector<HttpConnector>, B>;

/// Where Amazon Linux and Debian keep all root certificates that they trust, in one file.
const ROOT_FILES: [&str; 2] = [
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
];

/// A client with a connection pool of its own. `connect_timeout` is for the TCP connection alone.
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
    tcp.set_connect_timeout(Some(connect_timeout));
    let https =
        HttpsConnectorBuilder::new().with_tls_config(TLS.get_or_init(trusting_the_system).clone());
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(https.https_or_http().enable_http1().wrap_connector(tcp))
}

/// Without root certificates no https host is trusted, which is no reason not to start: at home all speak plain HTTP.
fn trusting_the_system() -> ClientConfig {
    let from_file = roots_of_file();
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
                "no https host can be trusted"
            );
            ClientConfig::builder()
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth()
        }
    }
}

/// The roots of the system's one file, or of the one that `SSL_CERT_FILE` names in its place; none where they are kept in
/// another way, which the TLS library knows and which takes it four times as long.
fn roots_of_file() -> RootCertStore {
    let named = environment("SSL_CERT_FILE").filter(|path| !path.is_empty());
    let elsewhere = environment("SSL_CERT_DIR").is_some_and(|path| !path.is_empty());
    let files: Vec<&str> = match &named {
        _ if elsewhere => vec![],
        Some(path) => vec![path],
        None => ROOT_FILES.to_vec(),
    };
    let pem = files
        .into_iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&pem));
    roots
}

/// The certificates of a PEM file. The TLS library's own reader takes the same time for all letters, as for secret keys;
/// a hundred and fifty public certificates at each start are worth a quick one.
fn certificates(pem: &str) -> impl Iterator<Item = CertificateDer<'static>> + '_ {
    pem.split("-----BEGIN CERTIFICATE-----")
        .skip(1)
        .filter_map(|rest| {
            let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
            let base64: String = body.lines().map(str::trim).collect();
            BASE64
                .decode(base64.as_bytes())
                .ok()
                .map(CertificateDer::from)
        })
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn certificates_are_read_as_the_tls_library_reads_them() {
        let mut pem = String::from("# a comment\n");
        for length in [1, 47, 48, 49, 1200] {
            let der: Vec<u8> = (0..length)
                .map(|n| u8::try_from(n % 251).unwrap_or(0))
                .collect();
            let base64 = BASE64.encode(&der);
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
            let ours: Vec<_> = certificates(&pem).collect();
            let theirs: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
                .filter_map(Result::ok)
                .collect();
            assert_eq!((ours.len(), ours), (5, theirs));
        }
    }

    #[test]
    fn a_certificate_that_is_cut_or_altered_is_left_out() {
        let cut = "-----BEGIN CERTIFICATE-----\nAQID\n";
        assert_eq!(certificates(cut).count(), 0);
        let altered = format!(
            "{cut}-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nAQ*D\n-----END CERTIFICATE-----\n"
        );
        assert_eq!(
            certificates(&altered)
                .map(|der| der.to_vec())
                .collect::<Vec<_>>(),
            [vec![1, 2, 3]]
        );
    }
}
