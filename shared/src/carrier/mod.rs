//! Carriers: the companies that deliver messages.
//!
//! * `carrier_trait`: the `Carrier` trait and its types. One file for each kind implements it.
//! * `registry`: the table of kinds, with which every function checks `OTP_CARRIERS`.
//! * `adapters`: the table of what calls them, for the functions that get credentials.
//! * `config`: reads `OTP_CARRIERS` into `configured`, the carriers of this service.
//! * `sender`: what messages come from, by country and vendor.
//! * `registered_template`: what the operator registered in India.
//! * `carriers`: hands messages over, through `client` or the AWS client.
//! * `sns_envelope`: verifies the reports that SNS posts.
//! * `vendor_format`: what the formats of several vendors have in common.
//!
//! To add a kind, add one file here, one row to the table in `registry` and one to that in
//! `adapters`.
//!
//! Invariant: no file here logs a body, a header, a URL or a response of a carrier.

mod adapters;
mod carrier_trait;
mod carriers;
mod client;
mod config;
mod configured;
mod registered_template;
mod registry;
mod sender;
mod sender_registration;
mod trial;
pub mod sns_envelope;
mod vendor_format;

mod cm;
mod end_user_messaging;
mod http;
mod labsmobile;
mod notify;
mod ses;
mod smsbox;
mod smspartner;
mod smspm;
pub mod sns;
mod twilio;
mod vonage;

pub use carrier_trait::{
    Callback, Carrier, Conversion, ConversionFeedback, Notification, OutgoingMessage, Receipt,
    Report, ReportError, StatusPolling,
};
pub use carriers::{Carriers, HandoverResponse};
pub use config::{
    COMMON_FIELDS, CarrierConfigError, CarrierEntry, check_carriers, is_carrier_name, read_carriers,
};
pub use configured::ConfiguredCarrier;
pub use sender::WITHOUT_NAMES_AT_AWS as COUNTRIES_WITHOUT_NAMES;
pub use sender_registration::{REGISTRATIONS, Registration, SenderWarning};
pub use trial::Trial;

#[cfg(test)]
mod fixture;
