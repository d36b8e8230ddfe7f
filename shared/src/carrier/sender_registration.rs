//! Countries in which a name must be registered before messages may come from it, and the warnings
//! at the start that follow from an entry.

use std::collections::BTreeSet;

use super::configured::ConfiguredCarrier;
use super::sender::{DefaultSender, is_number};
use crate::domain::channel::Channel;
use crate::domain::policy::Policy;

/// A country with a registration for names, by the forms of AWS:
/// <https://docs.aws.amazon.com/sms-voice/latest/userguide/registrations-country.html>. Other
/// vendors pass on the same rules of the country.
pub struct Registration {
    /// ISO 3166 code.
    pub country: &'static str,
    /// What else the country requires, or does with a name that is not registered.
    pub note: &'static str,
}

const fn registration(country: &'static str, note: &'static str) -> Registration {
    Registration { country, note }
}

/// All of them, by country code.
pub const REGISTRATIONS: &[Registration] = &[
    registration("AE", ""),
    registration("AT", ""),
    registration("AU", ""),
    registration("BY", ""),
    registration("CN", "no names; the text is registered as a template"),
    registration("EG", ""),
    registration("ES", ""),
    registration("FI", ""),
    registration("GB", ""),
    registration("ID", ""),
    registration("IE", "shown as `Likely Scam`, <https://www.comreg.ie>"),
    registration(
        "IN",
        "operator and text are registered (DLT): `entity_id`, `template_id`, `template_text`",
    ),
    registration("JO", ""),
    registration("KE", ""),
    registration("KW", ""),
    registration("KZ", ""),
    registration("LK", ""),
    registration("PH", ""),
    registration("QA", ""),
    registration("RU", ""),
    registration("SA", ""),
    registration("SG", "shown as `Likely-SCAM`, <https://www.sgnic.sg>"),
    registration("TH", ""),
    registration("TR", ""),
    registration("VN", ""),
    registration("ZM", ""),
];

/// What the operator should know about the senders of an entry. Countries are ISO 3166 codes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SenderWarning {
    /// Messages come from a name in countries that require its registration.
    #[error("register the sender name with this carrier before it is used in {}", .0.join(", "))]
    Unregistered(Vec<&'static str>),
    /// A name is set for countries whose networks accept none.
    #[error("networks accept no sender names in {}; set numbers for them in `sender`", .0.join(", "))]
    NotAccepted(Vec<&'static str>),
    /// The name of an app cannot be a sender.
    #[error(
        "the name {0:?} has no form of 11 letters and digits, so messages come from what the \
         carrier chooses; set OTP_SENDER_ID or `sender`"
    )]
    NoName(String),
    /// Messages to India name no registrations.
    #[error("India requires registrations: set `entity_id`, `template_id` and `template_text`")]
    NoTemplate,
}

impl ConfiguredCarrier {
    /// What the operator should know about its senders, for the apps with these policies.
    pub fn sender_warnings<'p>(
        &self,
        policies: impl Iterator<Item = &'p Policy> + Clone,
    ) -> Vec<SenderWarning> {
        let rules = &self.kind.sender;
        let mut warnings = vec![];
        if rules.is_as_written || !self.channels.contains(&Channel::Sms) {
            return warnings;
        }
        if rules.default != DefaultSender::OfKind && !self.senders.contains_key("*") {
            let names = policies.clone().map(Policy::sender_name);
            let unfit = names.filter(|name| rules.fit(name).is_none());
            let unfit: BTreeSet<&str> = unfit.collect();
            warnings.extend(
                unfit
                    .into_iter()
                    .map(|n| SenderWarning::NoName(n.to_owned())),
            );
        }
        // Countries where messages of some app come from a name.
        let with_name = |countries: &mut dyn Iterator<Item = &'static str>| -> Vec<&'static str> {
            let has_name =
                |country: &&str| policies.clone().any(|p| self.sends_name_in(p, country));
            countries.filter(has_name).collect()
        };
        let registered = with_name(&mut REGISTRATIONS.iter().map(|r| r.country));
        if !registered.is_empty() {
            warnings.push(SenderWarning::Unregistered(registered));
        }
        let not_accepted = with_name(&mut rules.countries_without_names.iter().copied());
        if !not_accepted.is_empty() {
            warnings.push(SenderWarning::NotAccepted(not_accepted));
        }
        let serves_india = policies
            .clone()
            .any(|policy| self.may_send_to(policy, "IN"));
        if self.kind.has_registered_templates
            && serves_india
            && !self.registered_templates.contains_key("IN")
        {
            warnings.push(SenderWarning::NoTemplate);
        }
        warnings
    }

    fn sends_name_in(&self, policy: &Policy, country: &str) -> bool {
        let sender = self.sender_in(policy, Some(country));
        self.may_send_to(policy, country) && sender.is_some_and(|sender| !is_number(&sender))
    }

    fn may_send_to(&self, policy: &Policy, country: &str) -> bool {
        let lists = [&self.countries, &policy.allowed_countries];
        let allows = |list: &Vec<String>| list.is_empty() || list.iter().any(|c| c == country);
        lists.into_iter().all(allows)
    }
}
