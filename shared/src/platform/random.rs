//! Random: the operating system's random number generator.
//!
//! Invariant: no other file creates a generator.

use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

/// The operating system's generator, asked at the moment of use: a generator seeded at start would repeat itself in
/// every copy of a snapshotted Lambda. Without entropy no code may be made, so a failure there panics and fails the
/// one invocation.
#[must_use]
pub fn entropy() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// `N` random bytes from the operating system.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    use rand::Rng as _;
    let mut bytes = [0; N];
    entropy().fill_bytes(&mut bytes);
    bytes
}
