//! The carrier-worker function: it hands messages over to carriers.

mod breakers;
mod carrier_order;
mod claims;
mod deadlines;
mod delivery_history;
mod dispatches;
mod ended_meanwhile;
mod fallback;
mod handovers;
mod harness;
mod redeliveries;
mod retry_rounds;
mod slow_table;
mod unknown_outcomes;
