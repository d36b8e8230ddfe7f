//! What operators rely on: settings, logs, metrics, capacity, keys and secrecy.

mod capacity;
mod capacity_table;
mod config_document;
mod config_items;
mod error_logs;
mod first_deployment;
pub mod item_sizes;
mod key_rotation;
mod metrics;
mod operator_commands;
mod operator_config;
mod operator_doctor;
mod operator_functions;
mod operator_mistakes;
mod operator_repairs;
mod operator_restart;
mod operator_rollback;
mod operator_seal_keys;
mod operator_targets;
mod operator_typing;
mod queue_visibility;
mod request_logs;
mod secrecy;
mod settings;
mod wire_counts;
