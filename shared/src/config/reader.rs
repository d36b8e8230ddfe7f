//! Reader: environment variables into values, with every problem that is found on the way.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::ConfigError;
use super::advice::{carrier_problem, json_advice, shown_name};
use super::apps::{ApiKeys, Apps, is_app_name, set_by_json};
use super::decision_rules::RULES;
use super::document::{CarrierCredentials, Document, StoredConfig};
use super::infrastructure_values::InfrastructureValues;
use super::policy::SETTINGS;
use super::test_numbers::{canonical, read_test_numbers};
use crate::carrier::{self, CarrierConfigError, ConfiguredCarrier};
use crate::crypto::keyring::Keyring;
use crate::domain::delivery_plan::ReportWaits;
use crate::domain::policy::Policy;
use crate::domain::test_number::TestNumbers;
use crate::platform::aws::Aws;
use crate::platform::clock::Clock;
use crate::platform::url::is_base_url;

/// Carriers without `OTP_CARRIERS`.
const DEFAULT_CARRIERS: &str = r#"[{"kind":"sns"}]"#;

const DISPATCH: &str = "OTP_DISPATCH";

/// A lookup of environment variables. An empty value is the same as none.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads `OTP_CARRIERS` with the credentials in `OTP_SECRETS`, for a region. Given as a function,
/// so that a function on Lambda contains only the reader that it uses.
pub(super) type CarrierReader =
    fn(&str, &Map<String, Value>, &str) -> (Vec<ConfiguredCarrier>, Vec<CarrierConfigError>);

/// For functions that hand messages over or verify reports.
pub(super) const WITH_CREDENTIALS: CarrierReader = carrier::read_carriers;
/// For all other functions.
pub(super) const WITHOUT_CREDENTIALS: CarrierReader =
    |value, _, region| carrier::check_carriers(value, region);

/// `OTP_DISPATCH`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum DispatchMode {
    Queue,
    Sns,
}

/// What every function reads.
pub(super) struct Common {
    pub(super) apps: Apps,
    pub(super) keyring: Arc<Keyring>,
    pub(super) carrier_seal: Option<Keyring>,
    pub(super) api_keys: ApiKeys,
    pub(super) carriers: Vec<ConfiguredCarrier>,
    pub(super) dispatch: DispatchMode,
    pub(super) worker_url: Option<String>,
    pub(super) test_numbers: TestNumbers,
    pub(super) waits: ReportWaits,
    pub(super) table: String,
    pub(super) aws: Aws,
    pub(super) warnings: Vec<String>,
}

/// Reads variables and collects problems. After a problem it goes on with a value that
/// `finish` never returns.
pub struct Reader<'a> {
    variables: Variables<'a>,
    pub(super) stored: StoredConfig<'a>,
    /// What was read before.
    infrastructure: Option<&'a InfrastructureValues>,
    pub(super) problems: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Reads `variables` alone.
    #[must_use]
    pub fn of(variables: Variables<'a>) -> Self {
        Self::new(variables, StoredConfig::default())
    }

    /// Reads `variables`, and `stored` over them.
    #[must_use]
    pub fn new(variables: Variables<'a>, stored: StoredConfig<'a>) -> Self {
        Self {
            variables,
            stored,
            infrastructure: None,
            problems: vec![],
            warnings: vec![],
        }
    }

    /// With the `infrastructure` that was read before. While no document is stored, the first one
    /// of `OTP_SECRETS` counts.
    pub(super) fn over(
        variables: Variables<'a>,
        stored: StoredConfig<'a>,
        infrastructure: &'a InfrastructureValues,
    ) -> Self {
        let first = infrastructure.first_document.as_ref();
        let stored = StoredConfig {
            document: stored.document.or(first),
            ..stored
        };
        Self {
            infrastructure: Some(infrastructure),
            ..Self::new(variables, stored)
        }
    }

    /// `config`, if there was no problem.
    pub(super) fn finish<C>(self, config: C) -> Result<C, ConfigError> {
        if self.problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError(self.problems))
        }
    }

    /// What a function refuses: with `credentials`, one that calls carriers.
    pub(super) fn all_problems(mut self, credentials: Option<&CarrierCredentials>) -> Vec<String> {
        let common = self.common(match credentials {
            Some(_) => WITH_CREDENTIALS,
            None => WITHOUT_CREDENTIALS,
        });
        self.canonical_test_numbers(common.test_numbers);
        self.rules();
        self.problems
    }

    /// The apps with settings of their own, each with what defines it.
    pub(super) fn app_entries(&mut self) -> Vec<(&'static str, String, Value)> {
        const NAME: &str = "OTP_APPS";
        let stored = self.stored.document.map(|document| &document.apps);
        let is_replaced = |app: &str| stored.is_some_and(|apps| apps.contains_key(app));
        let variables = self.object(NAME).into_iter();
        let mut entries: Vec<_> = variables
            .filter(|(app, _)| !is_replaced(app))
            .map(|(app, settings)| (NAME, app, settings))
            .collect();
        let stored = stored.into_iter().flatten();
        entries
            .extend(stored.map(|(app, settings)| ("config.apps", app.clone(), settings.clone())));
        entries
    }

    /// What defines the settings of an app that has its own.
    pub(super) fn app_source(&self, app: &str) -> &'static str {
        let stored = self.stored.document;
        match stored.is_some_and(|document| document.apps.contains_key(app)) {
            true => "config.apps",
            false => "OTP_APPS",
        }
    }

    /// The text of a list, and what defines it: a member of the document, or else a variable.
    fn list_text(
        &self,
        variable: &'static str,
        member: &'static str,
        stored: impl Fn(&Document) -> Option<&Value>,
    ) -> (&'static str, Option<String>) {
        match self.stored.document.and_then(stored) {
            Some(list) => (member, Some(list.to_string())),
            None => (variable, self.variable(variable)),
        }
    }

    pub(super) fn common(&mut self, read_carriers: CarrierReader) -> Common {
        let apps = self.apps();
        let InfrastructureValues {
            table,
            aws,
            keyring,
            carrier_seal,
            mut api_keys,
            mut credentials,
            ..
        } = match self.infrastructure {
            Some(infrastructure) => infrastructure.clone(),
            None => self.infrastructure(),
        };
        self.config_max_age_seconds();
        if let Some(document) = self.stored.document {
            document.add_api_keys(&mut api_keys);
        }
        if let Some(stored) = self.stored.credentials {
            credentials.extend(stored.0.clone());
        }
        let carriers = self.carriers(read_carriers, &credentials);
        self.check_prices(&apps, &carriers);
        self.check_senders(&apps, &carriers);
        Common {
            test_numbers: self.test_numbers(&apps),
            dispatch: self.dispatch(&carriers),
            worker_url: self.optional_url("OTP_WORKER_URL"),
            waits: ReportWaits {
                unknown_seconds: self.integer("OTP_UNKNOWN_WAIT_SECONDS", 1..=600, 15),
                fallback_seconds: self.integer("OTP_FALLBACK_SECONDS", 1..=900, 60),
            },
            table,
            aws,
            warnings: std::mem::take(&mut self.warnings),
            apps,
            keyring,
            carrier_seal,
            api_keys,
            carriers,
        }
    }

    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.variables)(name).filter(|value| !value.is_empty())
    }

    fn apps(&mut self) -> Apps {
        let mut default = Policy::default();
        for setting in SETTINGS {
            let name = format!("OTP_{}", setting.name.to_uppercase());
            let value = self.variable(&name);
            if let Some(problem) = value.and_then(|value| setting.set(&mut default, &value).err()) {
                self.problem(&name, &problem);
            }
        }
        self.check_policy(None, &default);
        self.check_ttl("OTP_CODE_TTL_SECONDS", &default);
        let mut apps = BTreeMap::new();
        for (source, app, settings) in self.app_entries() {
            let mut policy = default.clone();
            let Some(settings) = settings.as_object().filter(|_| is_app_name(&app)) else {
                let app = shown_name(&app);
                let problem =
                    format!("must map names of apps to objects of settings; {app} does not");
                self.problem(source, &problem);
                continue;
            };
            // `factors` reads the rules; the other functions need none.
            for (name, value) in settings.iter().filter(|(name, _)| *name != RULES) {
                if let Err(problem) = set_by_json(&mut policy, name, value) {
                    self.problem(source, &format!("{app}.{name} {problem}"));
                }
            }
            self.check_policy(Some(&format!("{source}: {app}")), &policy);
            if policy.code_ttl_seconds != default.code_ttl_seconds {
                self.check_ttl(&format!("{source}: {app}.code_ttl_seconds"), &policy);
            }
            apps.insert(app, policy);
        }
        Apps { default, apps }
    }

    /// What defines the carriers.
    pub(super) fn carriers_source(&self) -> &'static str {
        match self
            .stored
            .document
            .and_then(|document| document.carriers.as_ref())
        {
            Some(_) => "config.carriers",
            None => "OTP_CARRIERS",
        }
    }

    fn carriers(
        &mut self,
        read_carriers: CarrierReader,
        credentials: &Map<String, Value>,
    ) -> Vec<ConfiguredCarrier> {
        let (name, value) = self.list_text("OTP_CARRIERS", "config.carriers", |document| {
            document.carriers.as_ref()
        });
        let value = value.unwrap_or_else(|| DEFAULT_CARRIERS.to_owned());
        let region = self.variable("AWS_REGION").unwrap_or_default();
        let (carriers, problems) = read_carriers(&value, credentials, &region);
        for problem in problems {
            let is_stored = name != "OTP_CARRIERS";
            let sentence =
                json_advice(&value).unwrap_or_else(|| carrier_problem(&problem, is_stored));
            self.problem(name, &sentence);
        }
        carriers
    }

    fn test_numbers(&mut self, apps: &Apps) -> TestNumbers {
        let (name, value) = self.test_number_text();
        let Some(value) = value else {
            return TestNumbers::default();
        };
        let now = Clock::default().now();
        let numbers = read_test_numbers(&value, apps, now).unwrap_or_else(|problem| {
            self.problem(name, &json_advice(&value).unwrap_or(problem));
            TestNumbers::default()
        });
        let count = numbers.in_effect(now).count();
        if count > 0 {
            self.warnings.push(format!(
                "{name}: numbers with a known code and no message: {count}"
            ));
        }
        numbers
    }

    fn test_number_text(&self) -> (&'static str, Option<String>) {
        self.list_text("OTP_TEST_NUMBERS", "config.test_numbers", |document| {
            document.test_numbers.as_ref()
        })
    }

    pub(super) fn canonical_test_numbers(&mut self, numbers: TestNumbers) -> TestNumbers {
        canonical(numbers).unwrap_or_else(|problem| {
            let (name, _) = self.test_number_text();
            self.problem(name, &problem);
            TestNumbers::default()
        })
    }

    pub(super) fn dispatch_mode(&mut self) -> DispatchMode {
        match self.variable(DISPATCH).as_deref() {
            None | Some("queue") => DispatchMode::Queue,
            Some("sns") => DispatchMode::Sns,
            Some(_) => {
                self.problem(DISPATCH, "must be `queue` or `sns`");
                DispatchMode::Queue
            }
        }
    }

    fn dispatch(&mut self, carriers: &[ConfiguredCarrier]) -> DispatchMode {
        let mode = self.dispatch_mode();
        if mode == DispatchMode::Sns && !carriers.iter().all(ConfiguredCarrier::is_sns) {
            let source = self.carriers_source();
            let problem = format!(
                "`sns` publishes within the request, so every carrier in {source} must be of kind \
                 `sns`"
            );
            self.problem(DISPATCH, &problem);
        }
        mode
    }

    /// An http(s) URL without a slash at the end; `None` if it is not set.
    pub(super) fn optional_url(&mut self, name: &str) -> Option<String> {
        let url = self.variable(name)?;
        if !is_base_url(&url) {
            let problem = "must be an http(s) URL with a host, without user, query and fragment";
            self.problem(name, problem);
        }
        Some(url.trim_end_matches('/').to_owned())
    }

    pub(super) fn required_url(&mut self, name: &str) -> String {
        self.required(name);
        self.optional_url(name).unwrap_or_default()
    }
}
