//! The carrier-worker function: it hands messages over to carriers.

mod breaker_scopes;
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
mod invocations;
mod rate_limited_carriers;
mod redeliveries;
mod reports_during_calls;
mod retry_rounds;
mod slow_table;
mod unknown_outcomes;
