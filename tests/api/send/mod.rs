//! The send function.

mod direct_sns;
mod fields;
mod idempotency;
mod new_verification;
mod one_line;
mod recipients;
mod replay;
mod reservation;
mod resend;
mod test_numbers;
mod text_marks;
