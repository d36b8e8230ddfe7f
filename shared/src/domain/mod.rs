//! Domain: the rules. Values and `now` in, values out.
//!
//! Invariant: no async, no IO, no serde, no clock.

pub mod time;
pub mod ids;
pub mod pasted_text;
pub mod phone;
pub mod phone_lines;
mod phone_metadata;
mod phone_tables;
pub mod email;
pub mod channel;
pub mod address;
pub mod device;
pub mod code;
pub mod custom_text;
pub mod test_number;
pub mod text_reference;
pub mod delivery;
pub mod delivery_plan;
pub mod verification_status;
pub mod step;
pub mod attempt_log;
pub mod verification;
pub mod past_verification;
pub mod verification_params;
pub mod verification_ref;
pub mod recipient;
mod recipient_owner;
pub mod remembered_sends;
pub mod recipient_limits;
mod recipient_restore;
pub mod rate_limit;
pub mod conversion;
pub mod money;
pub mod policy;
pub mod subject_id;
pub mod factor;
pub mod factor_secret;
pub mod proof;
pub mod decision_rules;
pub mod place;
pub mod decision;
pub mod verified_recipient;
pub mod subject;
pub mod log_outcomes;
pub mod factor_rejection;
