//! The carrier-worker function: it hands messages over to carriers.

mod breakers;
mod carrier_order;
mod claims;
mod delivery_history;
mod dispatches;
mod fallback;
mod harness;
mod retry_rounds;
mod slow_table;
mod unknown_outcomes;
