//! A port of this machine that stays reserved while no process listens on it: a carrier that is
//! down refuses connections at its address, and accepts them there again when it is up.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use otp::platform::random::random_bytes;
use tokio::net::TcpSocket;

/// Most attempts to reserve a port again.
const ATTEMPTS_MAX: usize = 1000;
/// Between two attempts.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(1);

/// Below the ports that operating systems give to programs that ask for any: those are seldom free
/// after a restart.
const STABLE_PORTS: Range<u16> = 20_000..30_000;

/// A socket that is bound to `port` and does not listen; 0 picks a free port.
pub(super) fn reserve(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(local(port))?;
    Ok(socket)
}

/// As [`reserve`], on a port that is likely to be free again at the next start.
pub(super) fn reserve_stable() -> io::Result<TcpSocket> {
    let count = STABLE_PORTS.end - STABLE_PORTS.start;
    for _ in 0..ATTEMPTS_MAX {
        let port = STABLE_PORTS.start + u16::from_ne_bytes(random_bytes()) % count;
        let socket = TcpSocket::new_v4()?;
        if socket.bind(local(port)).is_ok() {
            // After `bind`, which would else share a port that another server has reserved.
            socket.set_reuseaddr(true)?;
            return Ok(socket);
        }
    }
    reserve(0)
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
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
