//! A carrier as an entry of `OTP_CARRIERS` configures it: whom it serves, at what price, and how
//! its reports are read.
//!
//! Invariant: credentials are present only in functions that hand messages over or verify reports.

use std::collections::BTreeMap;
use std::time::Duration;

use ::http::{HeaderMap, Method};

use super::carrier_trait::{Callback, Report, ReportError};
use super::registry::{Adapter, Kind, Transport};
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::money::Money;
use crate::domain::policy::Policy;
use crate::domain::time::Timestamp;

/// Countries whose networks reject alphanumeric senders (AWS country table of June 2023).
const COUNTRIES_WITHOUT_SENDER_NAMES: &[&str] = &[
    "AR", "BS", "BE", "BR", "CA", "KY", "CL", "CN", "CO", "CR", "DO", "EC", "SV", "GU", "GT", "HU",
    "LR", "MY", "MH", "MX", "FM", "MC", "MZ", "NZ", "NI", "PY", "PE", "PR", "CG", "KN", "LC", "ZA",
    "KR", "TM", "US", "UY", "VE", "VI",
];

/// One entry of `OTP_CARRIERS`.
pub struct ConfiguredCarrier {
    /// Unique name, in callback URLs and in `deliveries[].carrier`.
    pub name: String,
    /// ISO 3166 alpha-2 codes of the countries that it serves; empty for all countries.
    pub countries: Vec<String>,
    /// The channels that it serves.
    pub channels: Vec<Channel>,
    /// The name or number that its messages come from; `None` for the sender of the policy.
    pub sender: Option<String>,
    /// Price of a message by country code, with `*` for all other countries.
    pub price: BTreeMap<String, Money>,
    /// Time for one response.
    pub timeout: Duration,
    /// The token in the callback URL of the account. `None` if each message has its own callback
    /// URL, and in functions without credentials.
    pub callback_token: Option<String>,
    /// The only SNS topic whose events are accepted; `None` for any topic.
    pub topic_arn: Option<String>,
    pub(super) kind: &'static Kind,
    /// `None` for the kind `sns`, and in functions without credentials.
    pub(super) adapter: Option<Adapter>,
}

impl ConfiguredCarrier {
    /// Whether it sends messages to `to` over `channel`.
    #[must_use]
    pub fn serves(&self, channel: Channel, to: &Address) -> bool {
        let serves_country = self.countries.is_empty()
            || to
                .country()
                .is_none_or(|country| self.countries.iter().any(|served| served == country));
        serves_country && self.channels.contains(&channel)
    }

    /// The price of a message to `to`; zero if no price is configured.
    #[must_use]
    pub fn price_to(&self, to: &Address) -> Money {
        to.country()
            .and_then(|country| self.price.get(country))
            .or_else(|| self.price.get("*"))
            .copied()
            .unwrap_or_default()
    }

    /// The name or number that a message to `to` comes from: its own sender, or else the sender of
    /// `policy` where the country allows names.
    #[must_use]
    pub fn sender_for(&self, policy: &Policy, to: &Address) -> Option<String> {
        let allows_names = to
            .country()
            .is_none_or(|country| !COUNTRIES_WITHOUT_SENDER_NAMES.contains(&country));
        self.sender
            .clone()
            .or_else(|| policy.sender().filter(|_| allows_names))
    }

    /// Whether its messages are published with the AWS SDK for SNS.
    #[must_use]
    pub fn is_sns(&self) -> bool {
        matches!(self.kind.transport, Transport::SnsSdk)
    }

    /// Whether its reports are signed over the URL that it called.
    #[must_use]
    pub fn signs_callback_url(&self) -> bool {
        self.kind.signs_callback_url
    }

    /// Whether its reports are events of an SNS topic.
    #[must_use]
    pub fn reports_through_sns(&self) -> bool {
        self.aws_service().is_some()
    }

    /// The AWS service that its requests are signed for.
    pub(super) fn aws_service(&self) -> Option<&'static str> {
        match self.kind.transport {
            Transport::Aws { service, .. } => Some(service),
            Transport::Http { .. } | Transport::SnsSdk => None,
        }
    }

    /// The reports in an HTTP request to its callback URL.
    ///
    /// # Errors
    /// [`ReportError`]. Every report is forged if the kind does not report over HTTP.
    pub fn report(
        &self,
        callback: &Callback<'_>,
        now: Timestamp,
    ) -> Result<Vec<Report>, ReportError> {
        match (&self.kind.transport, &self.adapter) {
            (Transport::Http { .. }, Some(adapter)) => adapter.carrier.report(callback, now),
            (Transport::Aws { .. } | Transport::SnsSdk, _) | (_, None) => Err(ReportError::Forged),
        }
    }

    /// The reports in `message`, an event that was published on an SNS topic. The envelope is
    /// already verified: by its signature, or because the topic invoked the function.
    ///
    /// # Errors
    /// [`ReportError`]. Every event is forged if the kind does not report through SNS.
    pub fn event(&self, message: &str, now: Timestamp) -> Result<Vec<Report>, ReportError> {
        let (Transport::Aws { .. }, Some(adapter)) = (&self.kind.transport, &self.adapter) else {
            return Err(ReportError::Forged);
        };
        let callback = Callback {
            method: &Method::POST,
            query: "",
            headers: &HeaderMap::new(),
            body: message.as_bytes(),
            url: "",
        };
        adapter.carrier.report(&callback, now)
    }
}
