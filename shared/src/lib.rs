//! `otp`: what the four functions share. One-time passcodes: rules, store, carriers.
//!
//! # Glossary
//!
//! | word | means |
//! |---|---|
//! | verification | one recipient being proven once for a purpose |
//! | recipient | a phone number or e-mail address, and our record of it |
//! | code | what the person types |
//! | attempt | one code presented for checking |
//! | channel | sms, voice, whatsapp, email |
//! | carrier | a company that carries messages |
//! | delivery | one message handed to one carrier |
//! | report | a carrier's later word about a delivery |
//! | dispatch | the queue message that asks for the next step with a verification's deliveries |
//! | app | one product of the operator, with its keys and policy |
//!
//! # Directions
//!
//! `tests -> local -> functions -> edges -> words`. Words are pure: values and `now` in, values out; no async, no serde,
//! no IO, no clock. Edges are thin and each is the only one to name its foreign crate. Tests read the sources and hold
//! both rules.
//!
//! # Invariants
//!
//! * What is not in the attempt log was not compared; the first match in the log is the one success.
//! * Nothing gives attempts back: not a resend, a new verification, a cancel, a report, an expiry.
//! * A delivery's state only moves up, and moves nothing else.
//! * A dispatch does nothing unless its sequence number is the current one and its claim is the one that was written.
//! * No code and no number rests or is logged readable.

pub mod domain;
pub mod platform;
pub mod crypto;
pub mod message;
pub mod carrier;
pub mod store;
pub mod config;
pub mod service;
pub mod api;
