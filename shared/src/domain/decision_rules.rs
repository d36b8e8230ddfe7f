//! Decision rules: data of the operator that says which actions need proof.
//!
//! Invariant: what is not known counts as risky, never as safe. The last rule has no condition, so
//! that one rule always decides.

use thiserror::Error;

use crate::domain::proof::Proof;
use crate::domain::time::Timestamp;

/// Rules of one app.
const RULES_MAX: usize = 20;
/// Lists in `requires`.
const ALTERNATIVES_MAX: usize = 8;
/// Proofs of one list in `requires`.
const PROOFS_MAX: usize = 4;
/// Digits of an amount before and after the point.
const AMOUNT_DIGITS_MAX: (usize, usize) = (12, 6);

/// Millionths of a currency unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Amount(u64);

impl Amount {
    /// Reads up to 12 digits, and up to 6 after a point.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (text, None),
        };
        let (whole_max, fraction_max) = AMOUNT_DIGITS_MAX;
        let fits = |digits: &str, length_max: usize| {
            let is_digits = digits.bytes().all(|b| b.is_ascii_digit());
            is_digits && (1..=length_max).contains(&digits.len())
        };
        let fraction_fits = fraction.is_none_or(|fraction| fits(fraction, fraction_max));
        if !fits(whole, whole_max) || !fraction_fits {
            return None;
        }
        let fraction = format!("{:0<1$}", fraction.unwrap_or_default(), fraction_max);
        format!("{whole}{fraction}").parse().ok().map(Self)
    }
}

/// Whether `text` is an ISO 4217 code.
#[must_use]
pub fn is_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase())
}

/// Whether `text` can be the name of a rule, an action or a role.
#[must_use]
pub fn is_rule_word(text: &str) -> bool {
    let is_allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=32).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// The name of a condition, which is also a reason of a decision. In the order of the
/// documentation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[expect(missing_docs, reason = "the names of the conditions")]
pub enum ConditionName {
    Action,
    Role,
    Country,
    AmountOver,
    NewCountry,
    NewDevice,
    NewNetwork,
    StrongOlderThanMinutes,
    Enrolled,
    NotEnrolled,
}

impl ConditionName {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Action,
        Self::Role,
        Self::Country,
        Self::AmountOver,
        Self::NewCountry,
        Self::NewDevice,
        Self::NewNetwork,
        Self::StrongOlderThanMinutes,
        Self::Enrolled,
        Self::NotEnrolled,
    ];

    /// The name in rules and reasons.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Role => "role",
            Self::Country => "country",
            Self::AmountOver => "amount_over",
            Self::NewCountry => "new_country",
            Self::NewDevice => "new_device",
            Self::NewNetwork => "new_network",
            Self::StrongOlderThanMinutes => "strong_older_than_minutes",
            Self::Enrolled => "enrolled",
            Self::NotEnrolled => "not_enrolled",
        }
    }
}

/// One condition of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    /// The action is one of these.
    Action(Vec<String>),
    /// The role is given, and is one of these.
    Role(Vec<String>),
    /// The country is given, and is one of these.
    Country(Vec<String>),
    /// An amount is given, and is greater than that of its currency, or its currency is not listed.
    AmountOver(Vec<(String, Amount)>),
    /// The country is not a known one.
    NewCountry,
    /// The device is not a known one.
    NewDevice,
    /// The network is not a known one.
    NewNetwork,
    /// The last accepted TOTP or HOTP code is older than so many minutes, or there is none.
    StrongOlderThanMinutes(i64),
    /// All of these are enrolled.
    Enrolled(Vec<Proof>),
    /// None of these is enrolled.
    NotEnrolled(Vec<Proof>),
}

/// What rules are evaluated on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// The action.
    pub action: String,
    /// The role of the subject.
    pub role: Option<String>,
    /// The country of the request, ISO 3166 alpha-2.
    pub country: Option<String>,
    /// The amount, and its currency.
    pub amount: Option<(Amount, String)>,
    /// Whether the country is absent or not a known one.
    pub is_new_country: bool,
    /// Whether the device is absent or not a known one.
    pub is_new_device: bool,
    /// Whether the network is absent or not a known one.
    pub is_new_network: bool,
    /// The last accepted TOTP or HOTP code.
    pub last_strong_at: Option<Timestamp>,
    /// What the subject can prove.
    pub enrolled: Vec<Proof>,
    /// When the decision is made.
    pub now: Timestamp,
}

impl Condition {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> ConditionName {
        match self {
            Self::Action(_) => ConditionName::Action,
            Self::Role(_) => ConditionName::Role,
            Self::Country(_) => ConditionName::Country,
            Self::AmountOver(_) => ConditionName::AmountOver,
            Self::NewCountry => ConditionName::NewCountry,
            Self::NewDevice => ConditionName::NewDevice,
            Self::NewNetwork => ConditionName::NewNetwork,
            Self::StrongOlderThanMinutes(_) => ConditionName::StrongOlderThanMinutes,
            Self::Enrolled(_) => ConditionName::Enrolled,
            Self::NotEnrolled(_) => ConditionName::NotEnrolled,
        }
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, facts: &Facts) -> bool {
        let is_given =
            |list: &[String], value: &Option<String>| value.iter().any(|v| list.contains(v));
        match self {
            Self::Action(list) => list.contains(&facts.action),
            Self::Role(list) => is_given(list, &facts.role),
            Self::Country(list) => is_given(list, &facts.country),
            Self::AmountOver(limits) => facts.amount.as_ref().is_some_and(|(amount, currency)| {
                let limit = limits.iter().find(|(known, _)| known == currency);
                limit.is_none_or(|(_, limit)| amount > limit)
            }),
            Self::NewCountry => facts.is_new_country,
            Self::NewDevice => facts.is_new_device,
            Self::NewNetwork => facts.is_new_network,
            Self::StrongOlderThanMinutes(minutes) => facts
                .last_strong_at
                .is_none_or(|at| facts.now.seconds_since(at) > minutes * 60),
            Self::Enrolled(proofs) => proofs.iter().all(|proof| facts.enrolled.contains(proof)),
            Self::NotEnrolled(proofs) => !proofs.iter().any(|proof| facts.enrolled.contains(proof)),
        }
    }
}

/// What a rule says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RuleOutcome {
    /// The action may proceed.
    Allow,
    /// All proofs of one of these lists are needed.
    Challenge(Vec<Vec<Proof>>),
    /// The action may not proceed.
    Deny,
}

impl RuleOutcome {
    /// The name in rules and responses.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Challenge(_) => "challenge",
            Self::Deny => "deny",
        }
    }

    /// The lists of a challenge.
    #[must_use]
    pub fn requires(&self) -> &[Vec<Proof>] {
        match self {
            Self::Challenge(requires) => requires,
            Self::Allow | Self::Deny => &[],
        }
    }
}

/// One rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its name, which decisions show.
    pub name: String,
    /// Conditions, all of which must hold. In the order of their names.
    pub when: Vec<Condition>,
    /// What it says then.
    pub outcome: RuleOutcome,
}

impl Rule {
    /// Whether all of its conditions hold.
    #[must_use]
    pub fn holds(&self, facts: &Facts) -> bool {
        self.when.iter().all(|condition| condition.holds(facts))
    }
}

/// The rules of an app, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules(Vec<Rule>);

/// Why rules are not valid.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum InvalidRules {
    #[error("must be a list of 1 to {RULES_MAX} rules")]
    Count,
    #[error("rule {0}: rule names must be unique, of 1 to 32 characters a-z, 0-9, _ and -")]
    Name(usize),
    #[error("the last rule, and only the last, must have no `when`")]
    LastRule,
    #[error("rule `{0}` has the same `when` as an earlier rule")]
    RepeatedConditions(String),
    #[error(
        "rule `{0}`: `requires` must have 1 to {ALTERNATIVES_MAX} lists of 1 to {PROOFS_MAX} \
         different words"
    )]
    Requires(String),
}

impl Rules {
    /// The rules, in order.
    ///
    /// # Errors
    /// [`InvalidRules`].
    pub fn new(mut rules: Vec<Rule>) -> Result<Self, InvalidRules> {
        if !(1..=RULES_MAX).contains(&rules.len()) {
            return Err(InvalidRules::Count);
        }
        for rule in &mut rules {
            rule.when.sort_by_key(Condition::name);
        }
        let last = rules.len() - 1;
        for (index, rule) in rules.iter().enumerate() {
            let earlier = &rules[..index];
            if !is_rule_word(&rule.name) || earlier.iter().any(|other| other.name == rule.name) {
                return Err(InvalidRules::Name(index + 1));
            }
            if rule.when.is_empty() != (index == last) {
                return Err(InvalidRules::LastRule);
            }
            if earlier.iter().any(|other| other.when == rule.when) {
                return Err(InvalidRules::RepeatedConditions(rule.name.clone()));
            }
            if !has_valid_requirements(&rule.outcome) {
                return Err(InvalidRules::Requires(rule.name.clone()));
            }
        }
        Ok(Self(rules))
    }

    /// The first rule of which all conditions hold.
    #[must_use]
    pub fn decide(&self, facts: &Facts) -> &Rule {
        let last = self.0.len() - 1;
        let holds = |rule: &&Rule| rule.holds(facts);
        self.0.iter().find(holds).unwrap_or(&self.0[last])
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }
}

fn has_valid_requirements(outcome: &RuleOutcome) -> bool {
    let RuleOutcome::Challenge(requires) = outcome else {
        return true;
    };
    let is_distinct = |list: &[Proof]| (1..list.len()).all(|n| !list[..n].contains(&list[n]));
    let is_valid = |list: &Vec<Proof>| (1..=PROOFS_MAX).contains(&list.len()) && is_distinct(list);
    (1..=ALTERNATIVES_MAX).contains(&requires.len()) && requires.iter().all(is_valid)
}

impl Default for Rules {
    /// One rule: any one proof.
    fn default() -> Self {
        Self(vec![Rule {
            name: "default".into(),
            when: vec![],
            outcome: RuleOutcome::Challenge(Proof::ALL.map(|proof| vec![proof]).to_vec()),
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = "action role country amount_over new_country new_device new_network \
                         strong_older_than_minutes enrolled not_enrolled";

    fn facts() -> Facts {
        Facts {
            action: "payment".into(),
            role: None,
            country: None,
            amount: None,
            is_new_country: true,
            is_new_device: true,
            is_new_network: true,
            last_strong_at: None,
            enrolled: vec![],
            now: Timestamp(1_000_000),
        }
    }

    fn amount(text: &str) -> Amount {
        Amount::parse(text).expect("an amount")
    }

    #[test]
    fn amounts_are_compared_as_decimals() {
        assert!(amount("500.000001") > amount("500"));
        assert_eq!(amount("007.50"), amount("7.5"));
        assert!(amount("999999999999.999999") > amount("999999999999"));
        for text in [
            "",
            ".5",
            "5.",
            "-1",
            "1e3",
            "1,5",
            "1234567890123",
            "1.1234567",
            "１",
        ] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }

    #[test]
    fn absent_values_are_risky() {
        let list = vec!["x".to_owned()];
        for (condition, holds) in [
            (Condition::Role(list.clone()), false),
            (Condition::Country(list), false),
            (Condition::AmountOver(vec![]), false),
            (Condition::NewCountry, true),
            (Condition::StrongOlderThanMinutes(5), true),
            (Condition::Enrolled(vec![Proof::Totp]), false),
            (Condition::NotEnrolled(vec![Proof::Totp]), true),
        ] {
            assert_eq!(condition.holds(&facts()), holds, "{condition:?}");
        }
    }

    #[test]
    fn amount_of_an_unlisted_currency_is_over() {
        let over = Condition::AmountOver(vec![("EUR".into(), amount("500"))]);
        for (value, currency, holds) in [
            ("500", "EUR", false),
            ("500.01", "EUR", true),
            ("1", "USD", true),
        ] {
            let facts = Facts {
                amount: Some((amount(value), currency.into())),
                ..facts()
            };
            assert_eq!(over.holds(&facts), holds, "{value} {currency}");
        }
    }

    #[test]
    fn strong_code_is_older_after_its_minutes() {
        let condition = Condition::StrongOlderThanMinutes(5);
        for (seconds, holds) in [(0, false), (300, false), (301, true)] {
            let facts = facts();
            let facts = Facts {
                last_strong_at: Some(facts.now - seconds),
                ..facts
            };
            assert_eq!(condition.holds(&facts), holds, "{seconds}");
        }
    }

    #[test]
    fn first_rule_that_holds_decides() {
        let rule = |name: &str, when, outcome| Rule {
            name: name.into(),
            when,
            outcome,
        };
        let admin = Condition::Role(vec!["admin".into()]);
        let rules = Rules::new(vec![
            rule(
                "new",
                vec![Condition::NewDevice, admin.clone()],
                RuleOutcome::Deny,
            ),
            rule("admin", vec![admin], RuleOutcome::Allow),
            rule("rest", vec![], RuleOutcome::Allow),
        ])
        .expect("valid rules");
        let mut facts = facts();
        assert_eq!(rules.decide(&facts).name, "rest");
        facts.role = Some("admin".into());
        let decided = rules.decide(&facts);
        let reasons: Vec<_> = decided.when.iter().map(Condition::name).collect();
        assert_eq!(decided.name, "new");
        assert_eq!(reasons, [ConditionName::Role, ConditionName::NewDevice]);
        facts.is_new_device = false;
        assert_eq!(rules.decide(&facts).name, "admin");
    }

    #[test]
    fn invalid_rules_are_rejected() {
        let rule = |name: &str, when: &[Condition], outcome: RuleOutcome| Rule {
            name: name.into(),
            when: when.to_vec(),
            outcome,
        };
        let last = || rule("last", &[], RuleOutcome::Allow);
        let new = [Condition::NewDevice];
        let challenge = |requires: &[&[Proof]]| {
            let lists = requires.iter().map(|list| list.to_vec());
            rule("last", &[], RuleOutcome::Challenge(lists.collect()))
        };
        for (rules, problem) in [
            (vec![], InvalidRules::Count),
            (vec![last(); 21], InvalidRules::Count),
            (
                vec![rule("A", &new, RuleOutcome::Deny), last()],
                InvalidRules::Name(1),
            ),
            (
                vec![rule("last", &new, RuleOutcome::Deny), last()],
                InvalidRules::Name(2),
            ),
            (
                vec![rule("a", &new, RuleOutcome::Deny)],
                InvalidRules::LastRule,
            ),
            (
                vec![rule("a", &[], RuleOutcome::Deny), last()],
                InvalidRules::LastRule,
            ),
            (
                vec![
                    rule("a", &new, RuleOutcome::Deny),
                    rule("b", &new, RuleOutcome::Allow),
                    last(),
                ],
                InvalidRules::RepeatedConditions("b".into()),
            ),
            (vec![challenge(&[])], InvalidRules::Requires("last".into())),
            (
                vec![challenge(&[&[]])],
                InvalidRules::Requires("last".into()),
            ),
            (
                vec![challenge(&[&[Proof::Sms, Proof::Sms]])],
                InvalidRules::Requires("last".into()),
            ),
        ] {
            assert_eq!(Rules::new(rules), Err(problem));
        }
        assert!(Rules::new(Rules::default().0).is_ok());
    }

    #[test]
    fn names_of_conditions_and_outcomes_are_the_documented_ones() {
        let names = ConditionName::ALL.map(ConditionName::name);
        assert_eq!(names.join(" "), NAMES);
        let outcomes = [
            RuleOutcome::Allow,
            RuleOutcome::Challenge(vec![]),
            RuleOutcome::Deny,
        ];
        let names = outcomes.each_ref().map(RuleOutcome::name);
        assert_eq!(names, ["allow", "challenge", "deny"]);
    }

    #[test]
    fn currencies_and_rule_words_have_their_form() {
        assert!(is_currency("EUR"));
        for text in ["", "EU", "EURO", "eur", "E1R"] {
            assert!(!is_currency(text), "{text}");
        }
        let longest = "a".repeat(32);
        for text in ["a", "new-device_2", &longest] {
            assert!(is_rule_word(text), "{text}");
        }
        let too_long = "a".repeat(33);
        for text in ["", "A", "a b", &too_long] {
            assert!(!is_rule_word(text), "{text}");
        }
    }

    #[test]
    fn given_values_are_compared_with_the_lists() {
        let facts = Facts {
            role: Some("admin".into()),
            country: Some("FR".into()),
            is_new_country: false,
            is_new_device: false,
            is_new_network: false,
            enrolled: vec![Proof::Totp, Proof::Sms],
            ..facts()
        };
        let list = |text: &str| vec!["x".to_owned(), text.to_owned()];
        for (condition, holds) in [
            (Condition::Action(list("payment")), true),
            (Condition::Action(list("login")), false),
            (Condition::Role(list("admin")), true),
            (Condition::Role(list("user")), false),
            (Condition::Country(list("FR")), true),
            (Condition::Country(list("DE")), false),
            (Condition::NewCountry, false),
            (Condition::NewDevice, false),
            (Condition::NewNetwork, false),
            (Condition::Enrolled(vec![Proof::Totp, Proof::Sms]), true),
            (Condition::Enrolled(vec![Proof::Totp, Proof::Email]), false),
            (Condition::NotEnrolled(vec![Proof::Email]), true),
            (
                Condition::NotEnrolled(vec![Proof::Totp, Proof::Email]),
                false,
            ),
        ] {
            assert_eq!(condition.holds(&facts), holds, "{condition:?}");
        }
    }
}
