//! The table of adapters: what calls the carriers of each kind and reads their reports.
//!
//! Invariant: only functions that get credentials use this table, so that the others do not contain
//! the formats of vendors.

use std::sync::Arc;

use super::carrier_trait::{Carrier, StatusPolling};
use super::cm::Cm;
use super::end_user_messaging::EndUserMessaging;
use super::http::Http;
use super::labsmobile::LabsMobile;
use super::notify::Notify;
use super::ses::Ses;
use super::smsbox::SmsBox;
use super::smspartner::SmsPartner;
use super::smspm::SmsPm;
use super::twilio::Twilio;
use super::vonage::Vonage;
use crate::platform::json::Fields;

/// The vendor's format with the credentials of one entry, and the abilities that its kind has.
pub struct Adapter {
    /// Requests, receipts, reports.
    pub carrier: Arc<dyn Carrier>,
    /// The status API, if the kind has one.
    pub status_polling: Option<Arc<dyn StatusPolling>>,
}

impl Adapter {
    fn new(carrier: impl Carrier + 'static) -> Self {
        Self {
            carrier: Arc::new(carrier),
            status_polling: None,
        }
    }

    fn with_status_polling(carrier: impl Carrier + StatusPolling + 'static) -> Self {
        let carrier = Arc::new(carrier);
        Self {
            carrier: carrier.clone(),
            status_polling: Some(carrier),
        }
    }
}

/// Reads an adapter from the fields of an entry, for an AWS region.
pub type ReadAdapter = fn(&mut Fields, &str) -> Adapter;

/// By name of the kind. A kind whose messages are published through SNS has no adapter.
pub const ADAPTERS: &[(&str, ReadAdapter)] = &[
    ("end_user_messaging", |fields, region| {
        Adapter::new(EndUserMessaging::from_fields(fields, region))
    }),
    ("notify", |fields, region| {
        Adapter::new(Notify::from_fields(fields, region))
    }),
    ("ses", |fields, region| {
        Adapter::new(Ses::from_fields(fields, region))
    }),
    ("twilio", |fields, _| {
        Adapter::new(Twilio::from_fields(fields))
    }),
    ("vonage", |fields, _| {
        Adapter::new(Vonage::from_fields(fields))
    }),
    ("smspartner", |fields, _| {
        Adapter::with_status_polling(SmsPartner::from_fields(fields))
    }),
    ("smsbox", |fields, _| {
        Adapter::new(SmsBox::from_fields(fields))
    }),
    ("cm", |fields, _| Adapter::new(Cm::from_fields(fields))),
    ("smspm", |fields, _| {
        Adapter::new(SmsPm::from_fields(fields))
    }),
    ("labsmobile", |fields, _| {
        Adapter::new(LabsMobile::from_fields(fields))
    }),
    ("http", |fields, _| Adapter::new(Http::from_fields(fields))),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier::registry::{KINDS, Transport};

    #[test]
    fn every_kind_called_by_http_has_an_adapter() {
        let called = KINDS
            .iter()
            .filter(|kind| !matches!(kind.transport, Transport::SnsPublish))
            .map(|kind| kind.name);
        let with_adapter = ADAPTERS.iter().map(|(kind, _)| *kind);
        assert_eq!(called.collect::<Vec<_>>(), with_adapter.collect::<Vec<_>>());
    }
}
