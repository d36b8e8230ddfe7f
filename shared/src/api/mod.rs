//! API: HTTP requests and responses around the use cases. `v1` is the native dialect; another
//! dialect is a folder beside it.

pub mod authorization;
pub mod deadline;
pub mod problem;
pub mod request;
pub mod request_log;
pub mod response;
pub mod routing;
pub mod v1;
