//! A carrier as an entry of `OTP_CARRIERS` configures it: whom it serves, at what price, and how
//! its reports are read.
//!
//! Invariant: credentials are present only in functions that hand messages over or verify reports.

use std::collections::BTreeMap;
use std::time::Duration;

use ::http::{HeaderMap, Method};

use super::adapters::Adapter;
use super::carrier_trait::{Callback, Report, ReportError};
use super::registered_template::RegisteredTemplate;
use super::registry::{Kind, Transport};
use super::sender::DefaultSender;
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::money::Money;
use crate::domain::policy::Policy;
use crate::domain::time::Timestamp;

/// One entry of `OTP_CARRIERS`.
pub struct ConfiguredCarrier {
    /// Unique name, in callback URLs and in `deliveries[].carrier`.
    pub name: String,
    /// ISO 3166 alpha-2 codes of the countries that it serves; empty for all countries.
    pub countries: Vec<String>,
    /// The channels that it serves.
    pub channels: Vec<Channel>,
    /// The name or number that its messages come from, by country code, with `*` for all other
    /// countries. The vendor accepts each of them.
    pub senders: BTreeMap<String, String>,
    /// What the operator registered, by country code.
    pub registered_templates: BTreeMap<String, RegisteredTemplate>,
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
        serves_country && self.channels.contains(&channel) && (self.kind.reaches)(channel, to)
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

    /// The name or number that a message to `to` comes from: the entry's, or else the name of the
    /// app where networks accept names.
    #[must_use]
    pub fn sender_for(&self, policy: &Policy, to: &Address) -> Option<String> {
        self.sender_in(policy, to.country())
    }

    pub(super) fn sender_in(&self, policy: &Policy, country: Option<&str>) -> Option<String> {
        let own = country.and_then(|country| self.senders.get(country));
        if let Some(own) = own.or_else(|| self.senders.get("*")) {
            return Some(own.clone());
        }
        let rules = &self.kind.sender;
        let accepts_names =
            country.is_none_or(|country| !rules.countries_without_names.contains(&country));
        if rules.default == DefaultSender::OfKind || !accepts_names {
            return None;
        }
        rules.fit(policy.sender_name())
    }

    /// The countries among those that it serves for `policy` in which a text message would have no
    /// sender, although the vendor requires one; `*` if that is the case in all other countries.
    #[must_use]
    pub fn countries_without_sender(&self, policy: &Policy) -> Vec<String> {
        let rules = &self.kind.sender;
        if rules.default != DefaultSender::AppNameRequired || !self.channels.contains(&Channel::Sms)
        {
            return vec![];
        }
        let without_names = rules.countries_without_names.iter();
        let everywhere = || {
            without_names
                .chain(&["*"])
                .map(|c| (*c).to_owned())
                .collect()
        };
        let allowed = &policy.allowed_countries;
        let mut countries: Vec<String> = match (&self.countries[..], &allowed[..]) {
            ([], []) => everywhere(),
            ([], allowed) => allowed.to_vec(),
            (countries, _) => countries.to_vec(),
        };
        countries.retain(|country| {
            let is_allowed = allowed.is_empty() || allowed.contains(country);
            is_allowed && self.sender_in(policy, Some(country)).is_none()
        });
        countries
    }

    /// What a text message to `to` names as registered.
    #[must_use]
    pub fn registered_template(&self, to: &Address) -> Option<&RegisteredTemplate> {
        self.registered_templates.get(to.country()?)
    }

    /// Whether its messages are published through SNS.
    #[must_use]
    pub fn is_sns(&self) -> bool {
        matches!(self.kind.transport, Transport::SnsPublish)
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
            Transport::Aws { service } => Some(service),
            Transport::Http | Transport::SnsPublish => None,
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
            (Transport::Http, Some(adapter)) => adapter.carrier.report(callback, now),
            (Transport::Aws { .. } | Transport::SnsPublish, _) | (_, None) => {
                Err(ReportError::Forged)
            }
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
