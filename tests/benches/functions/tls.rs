//! TLS in front of the plain servers, because the services of AWS are behind TLS. The certificate
//! is made here, and trusted beside the system's root certificates, all of which a function reads.
//! Its key is ECDSA; those of AWS are RSA.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::CertifiedKey;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

const SYSTEM_ROOTS: [&str; 2] = [
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
];

/// Servers that speak TLS, on threads of their own.
pub struct Tls {
    acceptor: TlsAcceptor,
    roots: PathBuf,
    servers: Runtime,
}

impl Tls {
    pub fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("a certificate with its key");
        let mut roots = SYSTEM_ROOTS
            .iter()
            .find_map(|path| std::fs::read(path).ok())
            .expect("a file with the system's root certificates");
        roots.extend(format!("\n{}", cert.pem()).bytes());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-roots.pem");
        std::fs::write(&path, roots).expect("a file");
        Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            roots: path,
            servers: Runtime::new().expect("threads"),
        }
    }

    /// The variables with which a function calls its services over TLS. `plain` are those for HTTP,
    /// and `services` what its `http` URLs begin with.
    pub fn variables(
        &self,
        plain: Vec<(&'static str, String)>,
        services: &[String],
    ) -> Vec<(&'static str, String)> {
        let mut variables = plain;
        for service in services {
            let secured = self.in_front_of(service);
            for (_, value) in &mut variables {
                *value = value.replace(service, &secured);
            }
        }
        variables.push(("SSL_CERT_FILE", self.roots.display().to_string()));
        variables
    }

    /// The `https` URL of a new server that passes everything on to the one at `url`.
    fn in_front_of(&self, url: &str) -> String {
        let target = url.strip_prefix("http://").expect("an http URL").to_owned();
        let acceptor = self.acceptor.clone();
        let listening = TcpListener::bind(("127.0.0.1", 0));
        let listener = self.servers.block_on(listening).expect("a port");
        let address = listener.local_addr().expect("an address");
        self.servers.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(acceptor.clone(), client, target.clone()));
            }
        });
        format!("https://{address}")
    }
}

/// Ends with either connection.
async fn pass_on(acceptor: TlsAcceptor, client: TcpStream, target: String) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = TcpStream::connect(target).await?;
    server.set_nodelay(true)?;
    let mut client = acceptor.accept(client).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
