//! Random: the operating system's random number generator.
//!
//! Invariant: no other file creates a generator.

use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

/// The operating system's generator, read at each use: a generator seeded at the start would
/// produce the same numbers in every copy of a Lambda snapshot.
///
/// # Panics
/// A read panics if the operating system has no entropy. No code may be generated then, and the
/// panic fails this one invocation.
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
