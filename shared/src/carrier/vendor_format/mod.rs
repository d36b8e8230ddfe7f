//! What the formats of several vendors have in common.

pub mod aws_json;
pub mod config_fields;
pub mod flat_report;
pub mod form;
pub mod lenient_json;
pub mod request;
pub mod response;
pub mod whatsapp_template;
