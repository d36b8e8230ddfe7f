//! Ports of this machine that are kept while nobody listens on them: a carrier that is down refuses connections where it
//! listened, and comes back there.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpSocket;

/// Times that a closed port is asked for again, a millisecond apart.
const REBINDS_MAX: usize = 1000;

/// A socket that has a port and does not listen.
pub(crate) fn bound(port: u16) -> Result<TcpSocket, String> {
    let socket = TcpSocket::new_v4().map_err(|error| error.to_string())?;
    socket
        .set_reuseaddr(true)
        .map_err(|error| error.to_string())?;
    socket
        .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .map_err(|error| error.to_string())?;
    Ok(socket)
}

/// The same for a port that was just closed. A process that is being started has a copy of every socket for a moment.
pub(crate) async fn bound_again(port: u16) -> Result<TcpSocket, String> {
    for _ in 0..REBINDS_MAX {
        if let Ok(socket) = bound(port) {
            return Ok(socket);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bound(port)
}
