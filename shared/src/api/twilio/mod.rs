//! twilio: the dialect of Twilio Verify v2. Forms in, Twilio's resources and errors out, around the
//! same use cases.
//!
//! Reading order: `path` (which requests are of this dialect), `account` (credentials), `form` and
//! `parameters` (bodies), `create`, `check`, `update` and `target` (requests), `verification` and
//! `service` (resources), `error_table` and `rejection` (errors).
//!
//! Invariant: no response is a problem document, and none has a member `type` or `title`: with
//! these, Twilio's SDKs raise an exception that programs do not catch.

pub mod account;
pub mod check;
pub mod create;
mod error_table;
mod form;
mod parameters;
pub mod path;
pub mod rejection;
pub mod service;
mod sid;
pub mod target;
pub mod update;
pub mod verification;
