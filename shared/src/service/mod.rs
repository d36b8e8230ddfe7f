//! Services: the use cases. One file each; triggers and dialects call them and add no rule.

pub mod sending;
pub mod send;
pub mod resend;
pub mod open_or_continue;
pub mod verifying;
pub mod target;
pub mod check;
pub mod cancel;
pub mod approve;
pub mod show;
pub mod recipients;
pub mod report;
pub mod deliver;
pub mod factors;
mod admission;
mod approvals;
mod dispatcher;
mod new_code;
mod replay;
mod reservation;
mod subject_change;
mod roll_back;
mod test_number;
