//! Platform: what the code runs on. Clock, random numbers, AWS clients, HTTPS, queue, JSON, logs
//! and metrics.

pub mod aws;
pub mod aws_client;
pub mod aws_connector;
mod aws_endpoint;
pub mod aws_signature;
pub mod clock;
pub mod clock_check;
pub mod deadline;
pub mod environment;
pub mod https;
pub mod in_process;
pub mod json;
pub mod log_line;
pub mod logging;
pub mod metrics;
pub mod queue;
pub mod random;
pub mod spelling;
pub mod url;
pub mod worker_function;
