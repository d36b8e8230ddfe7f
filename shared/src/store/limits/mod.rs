//! Limits over many recipients: sends of a client network and of a prefix (`rate_limit`), approved
//! sends of a prefix and of a country (`conversion_guard`), and the money of a day (`spend_cap`).
//!
//! Each limit has an item of its own, which is decided by the condition of a write. A send is
//! reserved in all of its limits at once; if one refuses, the others are released.
//!
//! | item | bytes | write units of a reservation |
//! |---|---|---|
//! | client network (30 sends) | up to 920 | 1 |
//! | prefix (20 sends, 24 samples) | up to 990 | 1, its guard included |
//! | country | 750 | 1 at up to two sends a second, 0.1 at a hundred |
//! | samples of a minute, one of four | 900 | counted above |
//! | spend cap | up to 930 | 1 |
//!
//! A rejection, and the release of a reservation, are 1 write unit each.
//!
//! Invariant: a reservation is made once, however often its write is repeated, and is released at
//! most once. A release of what was never reserved changes nothing.
//! Invariant: no item has a phone number, an address or the name of an app.

mod conversion_guard;
mod exceeded;
mod rate_limit;
mod read_items;
mod register;
mod reservation;
mod reservation_id;
mod retries;
mod sample_codec;
mod shared_limits;
mod spend_cap;

pub(super) use conversion_guard::cache::GuardCache;
pub use exceeded::Exceeded;
pub use reservation::{Reservation, ReserveOrder, ReserveResult, ReserveTime};
pub use shared_limits::SharedLimits;
