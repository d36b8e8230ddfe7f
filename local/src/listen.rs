//! The addresses on which the server listens: 127.0.0.1 and ::1, or the one of `--host`.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;

use crate::start_error::StartError;

/// Most attempts to find a port that is free on 127.0.0.1 and on ::1.
const ATTEMPTS_MAX: usize = 50;

/// Where the server listens, and by which names.
#[derive(Clone, Default, Debug)]
pub struct Listen {
    /// The port; 0 picks a free one.
    pub port: u16,
    /// Another address than 127.0.0.1 and ::1.
    pub host: Option<IpAddr>,
    /// Names in `Host` that are allowed beside those of this machine.
    pub allowed_hosts: Vec<String>,
}

impl Listen {
    /// Binds all addresses; returns the one to print, and a listener for each.
    pub(crate) async fn bind(&self) -> Result<(SocketAddr, Vec<TcpListener>), StartError> {
        if let Some(host) = self.host {
            let (address, listener) = bind(SocketAddr::from((host, self.port))).await?;
            return Ok((address, vec![listener]));
        }
        for _ in 1..ATTEMPTS_MAX {
            match bind_loopback(self.port).await {
                // Another program has the port that was picked, on ::1 only.
                Err(StartError::PortInUse { .. }) if self.port == 0 => {}
                bound => return bound,
            }
        }
        bind_loopback(self.port).await
    }
}

/// The URL by which a program on this machine reaches a server that listens on `address`.
pub(crate) fn local_url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::from((ip, address.port())))
}

/// 127.0.0.1, and ::1 where the machine has IPv6: some programs resolve `localhost` to ::1 only.
async fn bind_loopback(port: u16) -> Result<(SocketAddr, Vec<TcpListener>), StartError> {
    let (address, v4) = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    match bind(SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()))).await {
        Ok((_, v6)) => Ok((address, vec![v4, v6])),
        Err(error @ StartError::PortInUse { .. }) => Err(error),
        Err(_) => Ok((address, vec![v4])),
    }
}

/// A listener, and its address with the port that was picked.
async fn bind(address: SocketAddr) -> Result<(SocketAddr, TcpListener), StartError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        Ok((listener.local_addr()?, listener))
    };
    bound
        .await
        .map_err(|source: io::Error| match source.kind() {
            ErrorKind::AddrInUse => StartError::PortInUse { address },
            ErrorKind::AddrNotAvailable => StartError::HostNotAvailable { address },
            _ => StartError::Port { address, source },
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_of_an_unspecified_address_is_of_this_machine() {
        for (address, url) in [
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:8080", "http://[::1]:8080"),
            ("192.0.2.7:8080", "http://192.0.2.7:8080"),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(local_url(address), url);
        }
    }
}
