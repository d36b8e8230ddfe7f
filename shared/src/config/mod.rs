//! Configuration: one struct per function, read from environment variables, and from the document
//! that the table holds over them. All problems are reported at once, each with the name of its
//! variable or member.
//!
//! Invariant: values are parsed here once; later nothing is an unchecked string.

mod advice;
mod app_decision_rules;
mod apps;
mod carrier_checks;
mod config_error;
mod decision_rules;
mod dispatch;
pub mod document;
mod document_check;
mod function_configs;
mod hidden_characters;
mod infrastructure;
mod infrastructure_values;
pub mod instance_config;
mod policy;
mod policy_checks;
mod problems;
mod reader;
mod secrets;
mod start_log;
mod stored_documents;
mod table_config;
mod test_numbers;

pub use advice::json_advice;
pub use apps::{ApiKeys, AppRules, Apps, is_app_name};
pub use config_error::ConfigError;
pub use decision_rules::{RulesError, read as read_rules};
pub use dispatch::Dispatch;
pub use function_configs::{CallbackConfig, FactorsConfig, SendConfig, VerifyConfig, WorkerConfig};
pub use hidden_characters::{
    FoundCharacter, FoundText, hidden_character, is_hidden, misleading_texts, texts_with_hidden,
    without_hidden,
};
pub use infrastructure::{Environment, Infrastructure, OwnedVariables};
pub use policy::{SETTINGS, android_hash, brand};
pub use problems::json_problem;
pub use reader::{Reader, Variables};
pub use stored_documents::StoredDocuments;
pub use table_config::TableConfig;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use data_encoding::BASE64;

    use super::*;

    /// Reads one function's configuration with `changes` to a valid environment.
    fn read<C>(
        config: impl Fn(Reader<'_>) -> Result<C, ConfigError>,
        changes: &[(&str, &str)],
    ) -> Result<C, Vec<String>> {
        let key = BASE64.encode(&[7; 32]);
        let api_key = format!(r#"{{"app":"shop","sha256":"{}"}}"#, "ab".repeat(32));
        let secrets = format!(
            r#"{{"seal":{{"current":"k1","keys":{{"k1":"{key}"}}}},"lookup":"{key}","api_keys":[{api_key}]}}"#
        );
        let mut values = HashMap::from([
            ("OTP_SECRETS", secrets.as_str()),
            ("OTP_TABLE", "otp"),
            ("OTP_QUEUE_URL", "http://queue"),
            ("OTP_PUBLIC_URL", "https://otp.example/"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
        ]);
        values.extend(changes.iter().copied());
        let variable = |name: &str| values.get(name).map(|value| (*value).to_owned());
        config(Reader::of(&variable)).map_err(|error| error.0)
    }

    #[test]
    fn empty_variable_has_its_default() {
        let changes = [("OTP_CODE_LENGTH", ""), ("OTP_CARRIERS", "")];
        let config = read(SendConfig::read, &changes).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(
            (config.apps.policy("any").code_length, config.carriers.len()),
            (6, 1)
        );
        let config = read(CallbackConfig::read, &[]).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(config.public_url.as_deref(), Some("https://otp.example"));
    }

    #[test]
    fn all_invalid_variables_are_reported_at_once() {
        let changes = [
            ("OTP_CODE_LENGTH", "3"),
            ("OTP_MAX_ATTEMPTS", "eleven"),
            ("OTP_TABLE", ""),
            ("OTP_SECRETS", "{}"),
            ("OTP_DISPATCH", "carrier pigeon"),
            ("OTP_APPS", r#"{"shop":{"colour":"red"}}"#),
            ("OTP_CARRIERS", r#"[{"kind":"pigeon"}]"#),
        ];
        let problems = read(SendConfig::read, &changes).err().unwrap_or_default();
        for (name, _) in changes {
            let prefix = format!("{name}: ");
            assert!(
                problems.iter().any(|line| line.starts_with(&prefix)),
                "{name}: {problems:?}"
            );
        }
    }

    #[test]
    fn policy_with_guessable_codes_is_rejected() {
        let short = ("OTP_CODE_LENGTH", "4");
        assert!(read(VerifyConfig::read, &[short]).is_err());
        assert!(read(VerifyConfig::read, &[short, ("OTP_GUESS_BUDGET", "10")]).is_ok());
        let app = ("OTP_APPS", r#"{"shop":{"code_length":4}}"#);
        assert!(read(VerifyConfig::read, &[app]).is_err());
    }

    #[test]
    fn policy_with_guessable_factor_codes_is_rejected() {
        let budget = ("OTP_FACTOR_GUESS_BUDGET", "100");
        assert!(read(FactorsConfig::read, &[budget]).is_ok());
        let problems = read(VerifyConfig::read, &[budget, ("OTP_HOTP_LOOK_AHEAD", "11")]);
        let problems = problems.err().unwrap_or_default();
        assert!(
            problems[0].starts_with("OTP_FACTOR_GUESS_BUDGET, "),
            "{problems:?}"
        );
    }

    #[test]
    fn rules_are_read_by_one_function_only() {
        let rule = r#"{"name":"rest","decision":"deny"}"#;
        let apps = format!(r#"{{"shop":{{"rules":[{rule}]}}}}"#);
        let config = read(FactorsConfig::read, &[("OTP_APPS", &apps)]);
        let rules = config
            .map(|config| config.rules)
            .unwrap_or_else(|e| panic!("{e:?}"));
        assert_ne!(rules.of("shop"), rules.of("other"));
        for invalid in [
            ("OTP_RULES", "[]"),
            ("OTP_APPS", r#"{"shop":{"rules":[]}}"#),
        ] {
            let problems = read(FactorsConfig::read, &[invalid])
                .err()
                .unwrap_or_default();
            assert!(problems[0].starts_with(invalid.0), "{problems:?}");
            assert!(read(VerifyConfig::read, &[invalid]).is_ok());
        }
    }

    #[test]
    fn app_overrides_the_common_policy() {
        let app = ("OTP_APPS", r#"{"shop":{"brand":"Shop","code_length":8}}"#);
        let config = read(SendConfig::read, &[("OTP_BRAND", "Common"), app]);
        let apps = config
            .map(|config| config.apps)
            .unwrap_or_else(|e| panic!("{e:?}"));
        let shown = |app: &str| (apps.policy(app).brand.clone(), apps.policy(app).code_length);
        assert_eq!(shown("shop"), ("Shop".into(), 8));
        assert_eq!(shown("other"), ("Common".into(), 6));
    }
}
