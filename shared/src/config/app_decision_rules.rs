//! The decision rules of all apps: `OTP_RULES`, `rules` in `OTP_APPS`, and
//! `rules` of the configuration document.

use std::collections::BTreeMap;

use serde_json::Value;

use super::advice::json_advice;
use super::apps::AppRules;
use super::decision_rules::{self, RULES};
use super::problems::json_problem;
use super::reader::Reader;
use crate::domain::decision_rules::Rules;
use crate::platform::json;

impl Reader<'_> {
    /// The decision rules of all apps.
    pub(super) fn rules(&mut self) -> AppRules {
        const NAME: &str = "OTP_RULES";
        let default = self.variable(NAME);
        let parsed = |text: String| json::parse(text.as_bytes()).map_err(|error| (text, error));
        let default = default.map(parsed);
        let default = match default {
            None => Rules::default(),
            Some(Ok(value)) => self.rules_of(NAME, &value),
            Some(Err((text, problem))) => {
                let advice = json_advice(&text);
                self.problem(NAME, &advice.unwrap_or_else(|| json_problem(problem)));
                Rules::default()
            }
        };
        let mut apps = BTreeMap::new();
        for (source, app, settings) in self.app_entries() {
            if let Some(value) = settings.get(RULES) {
                let rules = self.rules_of(&format!("{source}: {app}.{RULES}"), value);
                apps.insert(app, rules);
            }
        }
        let stored = self.stored.document.map(|document| &document.rules);
        for (app, value) in stored.into_iter().flatten() {
            // An empty list: the app has the common rules.
            if value.as_array().is_some_and(Vec::is_empty) {
                apps.remove(app);
                continue;
            }
            let rules = decision_rules::read(value).unwrap_or_else(|error| {
                self.problem("config.rules", &format!("{app} {error}"));
                Rules::default()
            });
            apps.insert(app.clone(), rules);
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
