//! The service on one machine: the local server, and the functions as processes.

mod addresses;
mod carrier_test;
mod clock;
mod command_line;
mod cross_site;
mod data_directory;
mod end_to_end;
mod engine;
mod lambda_runtime;
mod process_crashes;
mod restart;
mod sample_events;
mod shutdown;
mod trace;
mod signals;
mod twilio_check;
