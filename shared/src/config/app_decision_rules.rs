//! The decision rules of all apps: `OTP_RULES`, and `rules` in `OTP_APPS`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::apps::AppRules;
use super::decision_rules::{self, RULES};
use super::reader::Reader;
use crate::domain::decision_rules::Rules;
use crate::platform::json;

impl Reader<'_> {
    /// The decision rules of all apps.
    pub(super) fn rules(&mut self) -> AppRules {
        const NAME: &str = "OTP_RULES";
        let default = self.variable(NAME);
        let default = default.map(|text| json::parse(text.as_bytes()));
        let default = match default {
            None => Rules::default(),
            Some(Ok(value)) => self.rules_of(NAME, &value),
            Some(Err(problem)) => {
                self.problem(NAME, &problem.to_string());
                Rules::default()
            }
        };
        let mut apps = BTreeMap::new();
        for (app, settings) in self.object("OTP_APPS") {
            if let Some(value) = settings.get(RULES) {
                let rules = self.rules_of(&format!("OTP_APPS: {app}.{RULES}"), value);
                apps.insert(app, rules);
            }
        }
        AppRules { default, apps }
    }

    fn rules_of(&mut self, name: &str, value: &Value) -> Rules {
        decision_rules::read(value).unwrap_or_else(|error| {
            self.problem(name, &error.to_string());
            Rules::default()
        })
    }
}
