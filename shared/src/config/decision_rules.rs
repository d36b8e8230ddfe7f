//! `OTP_RULES`: decision rules as JSON.
//!
//! Invariant: an unknown field, a wrong type and an empty condition are errors.

use serde_json::{Map, Value};
use thiserror::Error;

use super::advice::unknown_name;
use crate::domain::decision_rules::{
    Amount, Condition, InvalidRules, Rule, RuleOutcome, Rules, is_currency, is_rule_word,
};
use crate::domain::place::is_place_country;
use crate::domain::proof::Proof;

/// The setting of an app that holds its rules.
pub(super) const RULES: &str = "rules";
/// The fields of a rule.
const FIELDS: [&str; 4] = ["name", "when", "decision", "requires"];
/// The conditions in `when`.
const CONDITIONS: [&str; 10] = [
    "action",
    "role",
    "country",
    "amount_over",
    "new_country",
    "new_device",
    "new_network",
    "strong_older_than_minutes",
    "enrolled",
    "not_enrolled",
];
/// Elements of a list in a condition.
const LIST_MAX: usize = 300;
/// Minutes of `strong_older_than_minutes`: up to 30 days.
const MINUTES: std::ops::RangeInclusive<i64> = 1..=43_200;

/// Why rules cannot be used. `Display` is a sentence without a subject.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum RulesError {
    /// Not a list.
    #[error("must be a list of rules")]
    NotAList,
    /// An element of the list is not an object.
    #[error("rule {0} must be an object")]
    NotAnObject(usize),
    /// A field of a rule is wrong.
    #[error("rule {number}: `{field}` must be {expected}")]
    Field {
        /// Counted from 1.
        number: usize,
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A rule has a field, or a condition, that does not exist.
    #[error("rule {0} has the unknown field or condition {1}")]
    UnknownField(usize, String),
    /// The rules do not fit one another.
    #[error(transparent)]
    Rules(#[from] InvalidRules),
}

/// Reads a JSON list of rules.
///
/// # Errors
/// [`RulesError`].
pub fn read(value: &Value) -> Result<Rules, RulesError> {
    let list = value.as_array().ok_or(RulesError::NotAList)?;
    let rules = list.iter().zip(1..);
    let rules = rules.map(|(rule, number)| {
        let object = rule.as_object().ok_or(RulesError::NotAnObject(number))?;
        RuleReader { number }.rule(object)
    });
    Ok(Rules::new(rules.collect::<Result<_, _>>()?)?)
}

struct RuleReader {
    number: usize,
}

impl RuleReader {
    fn wrong(&self, field: &'static str, expected: &'static str) -> RulesError {
        RulesError::Field {
            number: self.number,
            field,
            expected,
        }
    }

    fn rule(&self, object: &Map<String, Value>) -> Result<Rule, RulesError> {
        let is_known = |name: &String| FIELDS.contains(&name.as_str());
        if let Some(unknown) = object.keys().find(|name| !is_known(name)) {
            let unknown = unknown_name(unknown, FIELDS);
            return Err(RulesError::UnknownField(self.number, unknown));
        }
        let name = object.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| self.wrong("name", "a text"))?;
        let when = match object.get("when") {
            None => vec![],
            Some(Value::Object(when)) => {
                let conditions = when.iter().map(|(name, value)| self.condition(name, value));
                conditions.collect::<Result<_, _>>()?
            }
            Some(_) => return Err(self.wrong("when", "an object")),
        };
        let decision = object.get("decision").and_then(Value::as_str);
        let outcome = match (decision, object.get("requires")) {
            (Some("allow"), None) => RuleOutcome::Allow,
            (Some("deny"), None) => RuleOutcome::Deny,
            (Some("challenge"), Some(requires)) => RuleOutcome::Challenge(self.requires(requires)?),
            (Some("allow" | "deny" | "challenge"), _) => {
                return Err(self.wrong("requires", "given with `challenge`, and only then"));
            }
            _ => return Err(self.wrong("decision", "`allow`, `challenge` or `deny`")),
        };
        Ok(Rule {
            name: name.to_owned(),
            when,
            outcome,
        })
    }

    fn condition(&self, name: &str, value: &Value) -> Result<Condition, RulesError> {
        const WORDS: &str = "a list of words of 1 to 32 characters a-z, 0-9, _ and -";
        const COUNTRIES: &str = "a list of ISO 3166 codes such as `FR`";
        const PROOFS: &str = "a list of `totp`, `hotp`, `backup_codes`, `sms`, `voice`, \
                              `whatsapp` and `email`";
        let word = |text: &str| is_rule_word(text).then(|| text.to_owned());
        let country = |text: &str| {
            let code = text.to_ascii_uppercase();
            is_place_country(&code).then_some(code)
        };
        let proof = |text: &str| text.parse::<Proof>().ok();
        let is_true = |name, condition| match value {
            Value::Bool(true) => Ok(condition),
            _ => Err(self.wrong(name, "`true`")),
        };
        Ok(match name {
            "action" => Condition::Action(self.list("action", value, word, WORDS)?),
            "role" => Condition::Role(self.list("role", value, word, WORDS)?),
            "country" => Condition::Country(self.list("country", value, country, COUNTRIES)?),
            "amount_over" => Condition::AmountOver(self.amounts(value)?),
            "new_country" => is_true("new_country", Condition::NewCountry)?,
            "new_device" => is_true("new_device", Condition::NewDevice)?,
            "new_network" => is_true("new_network", Condition::NewNetwork)?,
            "strong_older_than_minutes" => {
                let minutes = value.as_i64().filter(|minutes| MINUTES.contains(minutes));
                let wrong = || self.wrong("strong_older_than_minutes", "a number, 1 to 43200");
                Condition::StrongOlderThanMinutes(minutes.ok_or_else(wrong)?)
            }
            "enrolled" => Condition::Enrolled(self.list("enrolled", value, proof, PROOFS)?),
            "not_enrolled" => {
                Condition::NotEnrolled(self.list("not_enrolled", value, proof, PROOFS)?)
            }
            other => {
                let unknown = unknown_name(other, CONDITIONS);
                return Err(RulesError::UnknownField(self.number, unknown));
            }
        })
    }

    /// A list without repetitions, in order, so that equal conditions are equal values.
    fn list<T: Ord>(
        &self,
        field: &'static str,
        value: &Value,
        read: impl Fn(&str) -> Option<T>,
        expected: &'static str,
    ) -> Result<Vec<T>, RulesError> {
        let list = value.as_array().into_iter().flatten();
        let list: Option<Vec<T>> = list.map(|item| item.as_str().and_then(&read)).collect();
        let list = list.filter(|list| (1..=LIST_MAX).contains(&list.len()));
        let mut list = list.ok_or_else(|| self.wrong(field, expected))?;
        list.sort_unstable();
        list.dedup();
        Ok(list)
    }

    fn amounts(&self, value: &Value) -> Result<Vec<(String, Amount)>, RulesError> {
        let amount = |(currency, amount): (&String, &Value)| {
            let amount = Amount::parse(amount.as_str()?)?;
            is_currency(currency).then(|| (currency.clone(), amount))
        };
        let amounts = value.as_object().into_iter().flatten().map(amount);
        let amounts: Option<Vec<_>> = amounts.collect();
        let amounts = amounts.filter(|amounts| (1..=LIST_MAX).contains(&amounts.len()));
        amounts.ok_or_else(|| self.wrong("amount_over", "amounts by currency: {\"EUR\":\"500\"}"))
    }

    fn requires(&self, value: &Value) -> Result<Vec<Vec<Proof>>, RulesError> {
        let list = |list: &Value| -> Option<Vec<Proof>> {
            let words = list.as_array()?.iter();
            words.map(|word| word.as_str()?.parse().ok()).collect()
        };
        let lists = value
            .as_array()
            .map(|lists| lists.iter().map(list).collect());
        let lists: Option<Option<Vec<_>>> = lists;
        lists
            .flatten()
            .ok_or_else(|| self.wrong("requires", "a list of lists such as [[\"totp\",\"sms\"]]"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documented_rules_are_valid() {
        let rules = json!([
            {"name": "admin", "when": {"role": ["admin"], "not_enrolled": ["totp"]},
             "decision": "deny"},
            {"name": "big-payment", "when": {"action": ["payment"], "amount_over": {"EUR": "500"}},
             "decision": "challenge", "requires": [["totp", "sms"], ["backup_codes"]]},
            {"name": "elsewhere", "when": {"new_country": true, "strong_older_than_minutes": 5},
             "decision": "challenge", "requires": [["totp"], ["sms"]]},
            {"name": "rest", "when": {}, "decision": "allow"},
        ]);
        assert!(read(&rules).is_ok());
    }

    #[test]
    fn invalid_rules_are_rejected_with_their_number() {
        let rest = json!({"name": "rest", "decision": "allow"});
        for rule in [
            json!(null),
            json!({"decision": "allow"}),
            json!({"name": "A", "decision": "allow", "when": {"new_country": true}}),
            json!({"name": "a", "decision": "permit", "when": {"new_country": true}}),
            json!({"name": "a", "decision": "deny", "when": {"new_country": false}}),
            json!({"name": "a", "decision": "deny", "when": {"planet": ["mars"]}}),
            json!({"name": "a", "decision": "deny", "when": {"action": []}}),
            json!({"name": "a", "decision": "deny", "when": {"country": ["XX"]}}),
            json!({"name": "a", "decision": "deny", "when": {"amount_over": {"eur": "5"}}}),
            json!({"name": "a", "decision": "deny", "when": {"amount_over": {"EUR": 5}}}),
            json!({"name": "a", "decision": "deny", "when": {"strong_older_than_minutes": 0}}),
            json!({"name": "a", "decision": "deny", "when": {"enrolled": ["passkey"]}}),
            json!({"name": "a", "decision": "deny", "requires": [["sms"]],
                   "when": {"new_country": true}}),
            json!({"name": "a", "decision": "challenge", "when": {"new_country": true}}),
            json!({"name": "a", "decision": "challenge", "requires": ["sms"],
                   "when": {"new_country": true}}),
            json!({"name": "a", "decision": "deny", "when": {"new_country": true}, "id": 1}),
        ] {
            let rules = json!([rule, rest]);
            assert!(read(&rules).is_err(), "{rules}");
        }
        let error = read(&json!([rest, {"name": "b", "decision": "?"}]));
        let error = error.map_err(|error| error.to_string());
        let expected = "rule 2: `decision` must be `allow`, `challenge` or `deny`";
        assert_eq!(error, Err(expected.to_owned()));
        let repeated = json!([
            {"name": "a", "when": {"action": ["x", "y"]}, "decision": "deny"},
            {"name": "b", "when": {"action": ["y", "x", "x"]}, "decision": "allow"},
            rest,
        ]);
        let repeated = read(&repeated);
        assert_eq!(
            repeated,
            Err(InvalidRules::RepeatedConditions("b".into()).into())
        );
    }
}
