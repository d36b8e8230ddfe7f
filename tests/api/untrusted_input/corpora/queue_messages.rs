//! Messages of the queue. Invariant: no panic.

use otp::platform::queue::Dispatch;

/// Reads one input.
pub fn run(input: &[u8]) {
    let Ok(body) = std::str::from_utf8(input) else {
        return;
    };
    let _ = Dispatch::parse(body);
}
