//! API: HTTP requests and responses around the use cases. `v1` is the native dialect,
//! `twilio` that of Twilio Verify v2.

pub mod authorization;
pub mod client_address;
pub mod deadline;
pub mod gateway;
pub mod problem;
pub mod request;
pub mod request_log;
pub mod response;
pub mod routing;
pub mod twilio;
pub mod v1;
