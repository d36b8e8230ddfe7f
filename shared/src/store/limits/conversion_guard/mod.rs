//! Conversion guard of a prefix or country: while too few of the last sends there are approved,
//! one send in a hundred is let through.
//!
//! **Low rates: one item, one write a send, no read.** A send appends its sample to the guard's
//! item, under the condition that conversion is not low and that no outcome is due that could make
//! it low. When samples are old enough, a send looks up what became of them, and writes their
//! outcomes and its own sample in one write. The item of a prefix has its window as well, so that
//! the sample costs no write at all.
//!
//! **More than 24 samples: shards.** The send that finds the item full opens shards for five
//! minutes. Samples then go to four items for each minute (`shards`), and every half minute one
//! send learns the outcomes of those that are due. Up to two sends a second all are samples. Over
//! that each shard thins out: a sample has a random level, and the shard raises the level from
//! which on it keeps them. All sends of one minute have the same chance, so a burst fills its own
//! minutes only. A send below the level makes no call; it relies on a state that the instance read
//! within five seconds.
//!
//! **Low conversion.** Held sends are counted in the item, exactly. From five hundred a second on
//! they are drawn at random for half a minute, without a call.
//!
//! | sends a second | write units a send | |
//! |---|---|---|
//! | up to 2 | 1 | every send is a sample |
//! | 10 | 0.5 | |
//! | 100 | 0.1 | |
//! | 2,000 | 0.01 | at most 400 writes a second to one item, at the start of a minute |
//!
//! Read units: half a unit for each outcome that is learned, and for each shard it is in: less than
//! two a send, and at a hundred sends a second 0.05. A rejection that is counted is 1 write unit.
//!
//! Invariant: a reservation that is repeated, because a response was lost, is recognised by its
//! sample or its id. A sample is released once.

pub(super) mod cache;
pub(super) mod guard;
mod guarded_send;
mod item;
mod learn;
mod release;
mod shards;
#[cfg(test)]
mod simulation;
pub(super) mod state;
