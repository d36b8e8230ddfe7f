//! `lambda-otp decide`: evaluates rules of decisions on one request, without a server, and says why
//! each rule holds or does not.

use std::path::PathBuf;
use std::process::ExitCode;

use otp::api::v1::subjects::decision::{DecisionContext, read_context};
use otp::config::read_rules;
use otp::domain::decision_rules::{Facts, Rule, Rules, is_rule_word};
use otp::domain::proof::Proof;
use otp::domain::time::Timestamp;
use otp::platform::json::{self, Fields};

/// Any moment: only the age of the last strong factor matters.
const NOW: Timestamp = Timestamp(2_000_000_000);
const MINUTE_SECONDS: i64 = 60;

/// Options of `decide`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// File with the rules, a JSON list as in `OTP_RULES`
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// The action of the request
    #[arg(long, value_name = "ACTION", value_parser = action)]
    action: String,
    /// The context of the request, as JSON
    #[arg(long, value_name = "JSON", default_value = "{}")]
    context: String,
    /// What the subject has, such as totp,sms
    #[arg(long, value_name = "WORDS", value_delimiter = ',', value_parser = proof)]
    enrolled: Vec<Proof>,
    /// Which places of the request the subject is known from
    #[arg(long, value_name = "PLACES", value_delimiter = ',')]
    known: Vec<Place>,
    /// Minutes since the last accepted code of an authenticator app or token; none without it
    #[arg(long, value_name = "N")]
    strong_minutes: Option<u32>,
}

/// What kind of place is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Place {
    Country,
    Device,
    Network,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
enum DecideError {
    #[error("{}: cannot be read", .0.display())]
    File(PathBuf, #[source] std::io::Error),
    #[error("{}: {}", .0.display(), .1)]
    Json(PathBuf, json::JsonError),
    #[error("{}: {}", .0.display(), .1)]
    Rules(PathBuf, otp::config::RulesError),
    #[error("--context: {0}")]
    Context(String),
}

fn action(word: &str) -> Result<String, &'static str> {
    match is_rule_word(word) {
        true => Ok(word.to_owned()),
        false => Err("must be 1 to 32 characters of a-z, 0-9, _ and -"),
    }
}

fn proof(word: &str) -> Result<Proof, &'static str> {
    word.parse()
        .map_err(|_| "must be totp, hotp, backup_codes, sms, voice, whatsapp or email")
}

/// Runs the command; returns the exit code of the process.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    match decide(arguments) {
        Ok(explanation) => {
            print!("{explanation}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn decide(arguments: Arguments) -> Result<String, DecideError> {
    let rules = rules(&arguments.rules)?;
    let context = context(&arguments.context)?;
    let is_new = |place| !arguments.known.contains(&place);
    let minutes_ago = |minutes: u32| NOW - i64::from(minutes) * MINUTE_SECONDS;
    let facts = Facts {
        is_new_country: context.country.is_none() || is_new(Place::Country),
        is_new_device: is_new(Place::Device),
        is_new_network: is_new(Place::Network),
        action: arguments.action,
        role: context.role,
        country: context.country,
        amount: context.amount,
        last_strong_at: arguments.strong_minutes.map(minutes_ago),
        enrolled: arguments.enrolled,
        now: NOW,
    };
    Ok(explain(&rules, &facts))
}

fn rules(path: &PathBuf) -> Result<Rules, DecideError> {
    let text = std::fs::read(path).map_err(|error| DecideError::File(path.clone(), error))?;
    let value = json::parse(&text).map_err(|error| DecideError::Json(path.clone(), error))?;
    read_rules(&value).map_err(|error| DecideError::Rules(path.clone(), error))
}

fn context(text: &str) -> Result<DecisionContext, DecideError> {
    let object = json::parse_object(text.as_bytes());
    let object = object.map_err(|error| DecideError::Context(error.to_string()))?;
    let mut fields = Fields::new(object);
    let context = read_context(&mut fields);
    match fields.finish() {
        Ok(()) => Ok(context),
        Err(errors) => {
            let lines = errors
                .iter()
                .map(|error| format!("{}: {}", error.field, error.detail));
            Err(DecideError::Context(lines.collect::<Vec<_>>().join(" ")))
        }
    }
}

/// One line for each rule up to the one that decides, then the decision.
fn explain(rules: &Rules, facts: &Facts) -> String {
    let decided = rules.decide(facts);
    let mut lines = String::new();
    for rule in rules.iter() {
        lines += &line(rule, facts);
        if rule.name == decided.name {
            break;
        }
    }
    lines += &format!("decision: {}\n", decided.outcome.name());
    let lists = decided.outcome.requires();
    if !lists.is_empty() {
        let words = |list: &Vec<Proof>| {
            let words: Vec<_> = list.iter().map(|proof| proof.name()).collect();
            words.join(" and ")
        };
        let lists: Vec<_> = lists.iter().map(words).collect();
        lines += &format!("requires: {}\n", lists.join(", or "));
    }
    lines
}

fn line(rule: &Rule, facts: &Facts) -> String {
    let result = if rule.holds(facts) {
        "holds"
    } else {
        "does not hold"
    };
    let conditions: Vec<String> = rule
        .when
        .iter()
        .map(|condition| {
            let result = if condition.holds(facts) { "yes" } else { "no" };
            format!("{} {result}", condition.name().name())
        })
        .collect();
    if conditions.is_empty() {
        return format!("rule {}: {result}, it has no condition\n", rule.name);
    }
    format!("rule {}: {result} ({})\n", rule.name, conditions.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explanation_ends_with_the_rule_that_decides() {
        let rules = json::parse(
            br#"[{"name":"admin","when":{"role":["admin"],"not_enrolled":["totp"]},"decision":"deny"},
                {"name":"elsewhere","when":{"new_country":true},"decision":"challenge",
                 "requires":[["totp","sms"],["backup_codes"]]},
                {"name":"rest","decision":"allow"}]"#,
        );
        let rules = rules.map(|rules| read_rules(&rules));
        let Ok(Ok(rules)) = rules else {
            panic!("{rules:?}");
        };
        let facts = Facts {
            action: "login".into(),
            role: Some("admin".into()),
            country: None,
            amount: None,
            is_new_country: true,
            is_new_device: true,
            is_new_network: true,
            last_strong_at: None,
            enrolled: vec![Proof::Totp],
            now: NOW,
        };
        let expected = "rule admin: does not hold (role yes, not_enrolled no)\n\
             rule elsewhere: holds (new_country yes)\n\
             decision: challenge\n\
             requires: totp and sms, or backup_codes\n";
        assert_eq!(explain(&rules, &facts), expected);
    }
}
