//! Reader: environment variables into values, with every problem that is found on the way.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::ConfigError;
use super::advice::{carrier_problem, cut_json};
use super::apps::{ApiKeys, Apps, is_app_name, set_by_json};
use super::decision_rules::RULES;
use super::policy::SETTINGS;
use super::secrets::{self, Secrets};
use super::test_numbers::{canonical, read_test_numbers};
use crate::carrier::{self, CarrierConfigError, ConfiguredCarrier};
use crate::crypto::keyring::Keyring;
use crate::domain::delivery_plan::ReportWaits;
use crate::domain::policy::Policy;
use crate::domain::test_number::TestNumbers;
use crate::platform::aws::{Aws, AwsSettings};
use crate::platform::clock::Clock;
use crate::platform::json;
use crate::platform::url::is_base_url;

/// Carriers without `OTP_CARRIERS`.
const DEFAULT_CARRIERS: &str = r#"[{"kind":"sns"}]"#;

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
    pub(super) api_keys: ApiKeys,
    pub(super) carriers: Vec<ConfiguredCarrier>,
    pub(super) dispatch: DispatchMode,
    pub(super) test_numbers: TestNumbers,
    pub(super) waits: ReportWaits,
    pub(super) table: String,
    pub(super) aws: Aws,
    pub(super) warnings: Vec<String>,
}

/// Reads variables and collects problems. After a problem it goes on with a value that
/// [`Self::finish`] never returns.
pub(super) struct Reader<'a> {
    variables: Variables<'a>,
    problems: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(variables: Variables<'a>) -> Self {
        Self {
            variables,
            problems: vec![],
            warnings: vec![],
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

    pub(super) fn common(&mut self, read_carriers: CarrierReader) -> Common {
        let apps = self.apps();
        let Secrets {
            keyring,
            api_keys,
            credentials,
        } = self.secrets();
        let carriers = self.carriers(read_carriers, &credentials);
        self.check_prices(&apps, &carriers);
        self.check_senders(&apps, &carriers);
        Common {
            test_numbers: self.test_numbers(&apps),
            dispatch: self.dispatch(&carriers),
            waits: ReportWaits {
                unknown_seconds: self.integer("OTP_UNKNOWN_WAIT_SECONDS", 1..=600, 15),
                fallback_seconds: self.integer("OTP_FALLBACK_SECONDS", 1..=900, 60),
            },
            table: self.table(),
            aws: self.aws(),
            warnings: std::mem::take(&mut self.warnings),
            apps,
            keyring: Arc::new(keyring),
            api_keys,
            carriers,
        }
    }

    fn secrets(&mut self) -> Secrets {
        const NAME: &str = "OTP_SECRETS";
        let problems_before = self.problems.len();
        self.required(NAME);
        let document = self.object(NAME);
        let is_readable = self.problems.len() == problems_before;
        let (secrets, problems) = secrets::read(document);
        // Without a readable document its missing fields are not worth a line each.
        if is_readable {
            problems
                .iter()
                .for_each(|problem| self.problem(NAME, &problem.to_string()));
        }
        secrets
    }

    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.variables)(name).filter(|value| !value.is_empty())
    }

    fn required(&mut self, name: &str) -> String {
        self.variable(name).unwrap_or_else(|| {
            self.problem(name, "must be set");
            String::new()
        })
    }

    pub(super) fn problem(&mut self, name: &str, problem: &str) {
        let line = format!("{name}: {problem}");
        if !self.problems.contains(&line) {
            self.problems.push(line);
        }
    }

    fn integer(&mut self, name: &str, range: RangeInclusive<i64>, default: i64) -> i64 {
        let Some(value) = self.variable(name) else {
            return default;
        };
        let is_digits = value.bytes().all(|b| b.is_ascii_digit());
        let number = is_digits.then(|| value.parse().ok()).flatten();
        number
            .filter(|number| range.contains(number))
            .unwrap_or_else(|| {
                let (min, max) = (range.start(), range.end());
                self.problem(name, &format!("must be a whole number from {min} to {max}"));
                default
            })
    }

    pub(super) fn object(&mut self, name: &str) -> Map<String, Value> {
        let Some(value) = self.variable(name) else {
            return Map::new();
        };
        json::parse_object(value.as_bytes()).unwrap_or_else(|problem| {
            let cut = cut_json(&value);
            self.problem(name, &cut.unwrap_or_else(|| problem.to_string()));
            Map::new()
        })
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
        for (app, settings) in self.object("OTP_APPS") {
            let mut policy = default.clone();
            let Some(settings) = settings.as_object().filter(|_| is_app_name(&app)) else {
                self.problem("OTP_APPS", "must map names of apps to objects of settings");
                continue;
            };
            // `factors` reads the rules; the other functions need none.
            for (name, value) in settings.iter().filter(|(name, _)| *name != RULES) {
                if let Err(problem) = set_by_json(&mut policy, name, value) {
                    self.problem("OTP_APPS", &format!("{app}.{name} {problem}"));
                }
            }
            self.check_policy(Some(&app), &policy);
            if policy.code_ttl_seconds != default.code_ttl_seconds {
                self.check_ttl(&format!("OTP_APPS: {app}.code_ttl_seconds"), &policy);
            }
            apps.insert(app, policy);
        }
        Apps { default, apps }
    }

    fn carriers(
        &mut self,
        read_carriers: CarrierReader,
        credentials: &Map<String, Value>,
    ) -> Vec<ConfiguredCarrier> {
        const NAME: &str = "OTP_CARRIERS";
        let value = self
            .variable(NAME)
            .unwrap_or_else(|| DEFAULT_CARRIERS.to_owned());
        let region = self.variable("AWS_REGION").unwrap_or_default();
        let (carriers, problems) = read_carriers(&value, credentials, &region);
        for problem in problems {
            let sentence = cut_json(&value).unwrap_or_else(|| carrier_problem(&problem, &value));
            self.problem(NAME, &sentence);
        }
        carriers
    }

    fn test_numbers(&mut self, apps: &Apps) -> TestNumbers {
        const NAME: &str = "OTP_TEST_NUMBERS";
        let Some(value) = self.variable(NAME) else {
            return TestNumbers::default();
        };
        let now = Clock::default().now();
        let numbers = read_test_numbers(&value, apps, now).unwrap_or_else(|problem| {
            self.problem(NAME, &cut_json(&value).unwrap_or(problem));
            TestNumbers::default()
        });
        let count = numbers.in_effect(now).count();
        if count > 0 {
            self.warnings.push(format!(
                "{NAME}: numbers with a known code and no message: {count}"
            ));
        }
        numbers
    }

    pub(super) fn canonical_test_numbers(&mut self, numbers: TestNumbers) -> TestNumbers {
        canonical(numbers).unwrap_or_else(|problem| {
            self.problem("OTP_TEST_NUMBERS", &problem);
            TestNumbers::default()
        })
    }

    fn dispatch(&mut self, carriers: &[ConfiguredCarrier]) -> DispatchMode {
        const NAME: &str = "OTP_DISPATCH";
        match self.variable(NAME).as_deref() {
            None | Some("queue") => DispatchMode::Queue,
            Some("sns") => {
                if !carriers.iter().all(ConfiguredCarrier::is_sns) {
                    let problem = "`sns` publishes within the request, so every carrier in \
                                   OTP_CARRIERS must be of kind `sns`";
                    self.problem(NAME, problem);
                }
                DispatchMode::Sns
            }
            Some(_) => {
                self.problem(NAME, "must be `queue` or `sns`");
                DispatchMode::Queue
            }
        }
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

    /// A name or an ARN:
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html>
    fn table(&mut self) -> String {
        const NAME: &str = "OTP_TABLE";
        let table = self.required(NAME);
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let is_plain = |name: &str| name.bytes().all(is_allowed);
        let is_name = (3..=255).contains(&table.len()) && is_plain(&table);
        let is_arn = (1..=1024).contains(&table.len())
            && table.starts_with("arn:")
            && table.split([':', '/']).all(is_plain);
        if !table.is_empty() && !is_name && !is_arn {
            let problem = "must be the name of a table (3 to 255 letters, digits, hyphens, \
                           underscores and dots) or its ARN";
            self.problem(NAME, problem);
        }
        table
    }

    fn aws(&mut self) -> Aws {
        let endpoint_urls = ["DYNAMODB", "SQS", "SNS"].map(|service| {
            let own = format!("AWS_ENDPOINT_URL_{service}");
            let has_own = self.variable(&own).is_some();
            self.optional_url(if has_own { &own } else { "AWS_ENDPOINT_URL" })
        });
        let region = self.required("AWS_REGION");
        // The region is part of AWS's host names.
        if !region
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            self.problem(
                "AWS_REGION",
                "must be the name of a region such as `eu-west-1`",
            );
        }
        Aws::new(AwsSettings {
            endpoint_urls,
            region,
            access_key_id: self.required("AWS_ACCESS_KEY_ID"),
            secret_access_key: self.required("AWS_SECRET_ACCESS_KEY"),
            session_token: self.variable("AWS_SESSION_TOKEN"),
        })
    }
}
