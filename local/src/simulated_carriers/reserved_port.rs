//! A port of this machine that stays reserved while no process listens on it: a carrier that is
//! down refuses connections at its address, and accepts them there again when it is up.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpSocket;

/// Most attempts to reserve a port again.
const ATTEMPTS_MAX: usize = 1000;
/// Between two attempts.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(1);

/// A socket that is bound to `port` and does not listen; 0 picks a free port.
pub(super) fn reserve(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

/// Reserves a port that was just closed. A child process that is being started has a copy of every
/// socket for a moment, so the first attempts may fail.
pub(super) async fn reserve_again(port: u16) -> io::Result<TcpSocket> {
    for _ in 0..ATTEMPTS_MAX {
        if let Ok(socket) = reserve(port) {
            return Ok(socket);
        }
        tokio::time::sleep(ATTEMPT_INTERVAL).await;
    }
    reserve(port)
}
