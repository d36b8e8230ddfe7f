//! Starts the service and makes requests to it.
//!
//! Invariant: contains no rule that a test checks.
//!
//! | file | what is in it |
//! |---|---|
//! | `service` | a service for one test, and any request to it |
//! | `api_calls` | requests of an app: send, resend, check, cancel, unlock, forget |
//! | `aws_stand_in` | CloudFormation, Secrets Manager and SQS, for the commands of operators |
//! | `local_calls` | the endpoints of the local server: clock, phones, simulated carriers, state |
//! | `response` | a response, and assertions about it |
//! | `rate_limits` | assertions about limits: which one rejects, until when, with which headers |
//! | `contract` | validation of every response against `openapi.yaml` |
//! | `fault_proxy` | a proxy before the table or the queue, which records calls and breaks them |
//! | `fault` | what the proxy does with a call |
//! | `proxied_call` | a call that the proxy has seen, and which of the functions' writes it is |
//! | `delay` | the delay of a slow table, queue or carrier, and the limit for conditions |
//! | `proxied_service` | a service with a fault proxy before its table and one before its queue |
//! | `http_carrier` | a carrier of kind `http` that a test controls |
//! | `listener` | an HTTP server whose responses a test sets |
//! | `operator` | the commands of operators, on a local server and on a stack |
//! | `sms_partner` | a vendor of text messages that reports about each |
//! | `log_capture` | the log lines of the functions in this process |
//! | `local_process` | the local server as a process |
//! | `built_functions` | the built functions, which run as processes |
//! | `processes` | the processes of functions, which a test kills, stops and continues |
//! | `factors` | requests about subjects, and a simulated authenticator |
//! | `deliveries` | the deliveries of a verification and the queue behind them |
//! | `parallel` | calls that run at once |
//! | `stored_config` | an operator who writes the configuration document |
//! | `stored_items` | the items of the table |
//! | `twilio` | a client of Twilio's dialect, and what every response of it must be |
//! | `temp_directory` | a directory for one test |
//! | `target` | the programs and the directories that cargo made for this build |
//! | `values` | recipients, settings, times and JSON that many tests need |

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test ends at the first value that it did not expect"
)]

pub mod api_calls;
pub mod aws_stand_in;
pub mod built_functions;
pub mod contract;
pub mod delay;
pub mod deliveries;
pub mod factors;
pub mod fault;
pub mod fault_proxy;
pub mod http_carrier;
pub mod listener;
pub mod local_calls;
pub mod local_process;
pub mod log_capture;
pub mod operator;
pub mod parallel;
pub mod processes;
pub mod proxied_call;
pub mod proxied_service;
pub mod rate_limits;
pub mod response;
pub mod service;
pub mod sms_partner;
pub mod stored_config;
pub mod stored_items;
pub mod target;
pub mod temp_directory;
pub mod twilio;
pub mod values;

pub use aws_stand_in::AwsStandIn;
pub use contract::CONTRACT;
pub use deliveries::{assert_queue_is_empty, deliveries_of, delivery, field_of_each};
pub use factors::{Authenticator, Decision, wrong_code_of};
pub use fault::{BROKEN, Fault, INTERNAL_ERROR, THROTTLED, TRANSACTION_CONFLICT};
pub use fault_proxy::FaultProxy;
pub use http_carrier::{Behaviour, HttpCarrier, ReceivedMessage, SignedReport};
pub use listener::{Listener, SilentListener};
pub use local_process::LocalProcess;
pub use log_capture::LogCapture;
pub use operator::{OperatedServer, stdout};
pub use parallel::at_once;
pub use processes::FunctionProcesses;
pub use proxied_call::ProxiedCall;
pub use proxied_service::ProxiedService;
pub use response::{
    CheckResult, TestResponse, assert_approved, assert_check, assert_fields, assert_problem,
    assert_rejected, assert_replays, assert_replays_send, assert_status,
};
pub use service::{DEFAULT_KEY, SHOP_KEY, Service};
pub use stored_items::{stored_items, stored_logs, stored_owners, stored_recipients};
pub use temp_directory::TempDirectory;
pub use twilio::Twilio;
pub use values::{
    NO_SEND_LIMITS, TO, UNKNOWN_ID, american_phone, another_code, no_send_limits_and, phone,
    rfc3339, unix_seconds, with,
};
