//! What the local server takes from template.yaml: routes, the table's key and TTL attribute, the
//! variables and their defaults, batch size, receive count, visibility time-out, metric filters. A
//! template that does not match the code fails here, before it is deployed.

use std::collections::BTreeMap;

use serde_norway::Value;

const TEMPLATE: &str = include_str!("../../template.yaml");
/// API Gateway's catch-all route.
pub(crate) const DEFAULT_ROUTE: &str = "$default";

/// The functions behind the HTTP API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HttpFunction {
    Send,
    Verify,
    Factors,
    DeliveryCallback,
}

impl HttpFunction {
    /// Its name, as in [`Template::FUNCTIONS`].
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Verify => "verify",
            Self::Factors => "factors",
            Self::DeliveryCallback => "delivery-callback",
        }
    }
}

/// The settings of the template.
pub(crate) struct Template {
    routes: Vec<(String, HttpFunction)>,
    pub(crate) table_key: TableKey,
    pub(crate) ttl_attribute: String,
    pub(crate) batch_size: usize,
    pub(crate) receives_max: u32,
    pub(crate) visibility_seconds: i64,
    pub(crate) timeout_seconds: u64,
    /// Memory of each function, in MB, unless a deployment sets it; by its resource.
    pub(crate) memory_mb: BTreeMap<&'static str, u64>,
    /// The metrics that CloudWatch reads from the lines of each function, by the function's name.
    pub(crate) metric_filters: MetricFilters,
    document: Value,
}

/// Filters of the lines of functions, by their names.
pub(crate) type MetricFilters = BTreeMap<&'static str, Vec<MetricFilter>>;

/// A filter that adds a value of each line that has one to a metric.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MetricFilter {
    /// The metric, and the member of the line that is its value.
    pub(crate) metric: String,
    /// `Count` or `Seconds`.
    pub(crate) unit: String,
    /// Members of the line that are the metric's dimensions. Lines without one are left out.
    pub(crate) dimensions: Vec<String>,
}

/// The key of the table: one attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TableKey {
    pub(crate) attribute: String,
    /// `B` or `S`.
    pub(crate) kind: String,
}

/// Why the template cannot be used. A released binary holds one that can.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("template.yaml: {0}")]
    Yaml(#[from] serde_norway::Error),
    #[error("template.yaml: {0} is missing or has the wrong type")]
    Missing(&'static str),
}

impl Template {
    /// Names of the functions, and of their resources in the template.
    pub(crate) const FUNCTIONS: [(&str, &str); 5] = [
        ("send", "SendFunction"),
        ("verify", "VerifyFunction"),
        ("factors", "FactorsFunction"),
        ("delivery-callback", "DeliveryCallbackFunction"),
        ("carrier-worker", "CarrierWorkerFunction"),
    ];

    /// The template that this server was built with.
    pub(crate) fn read() -> Result<Self, TemplateError> {
        let document: Value = serde_norway::from_str(TEMPLATE)?;
        let resources = &document["Resources"];
        let table = &resources["Table"]["Properties"];
        let queue = &resources["DispatchQueue"]["Properties"];
        let worker = resources["CarrierWorkerFunction"]["Properties"]["Events"].as_mapping();
        let trigger = worker
            .and_then(|events| events.values().find(|event| event["Type"] == "SQS"))
            .ok_or(TemplateError::Missing("the trigger of the queue"))?;
        let receives = untagged(&queue["RedrivePolicy"]["maxReceiveCount"]);
        Ok(Self {
            routes: routes(resources)?,
            table_key: TableKey {
                attribute: text(&table["KeySchema"][0]["AttributeName"], "AttributeName")?,
                kind: text(
                    &table["AttributeDefinitions"][0]["AttributeType"],
                    "AttributeType",
                )?,
            },
            ttl_attribute: text(
                &table["TimeToLiveSpecification"]["AttributeName"],
                "TimeToLiveSpecification",
            )?,
            batch_size: number(&trigger["Properties"]["BatchSize"], "BatchSize")?,
            receives_max: number(receives, "maxReceiveCount")?,
            visibility_seconds: number(&queue["VisibilityTimeout"], "VisibilityTimeout")?,
            timeout_seconds: number(&document["Globals"]["Function"]["Timeout"], "Timeout")?,
            memory_mb: memory_mb(&document)?,
            metric_filters: metric_filters(resources)?,
            document,
        })
    }

    /// The names of the variables of the function that `resource` defines, and whether its secrets
    /// include those of the carriers.
    pub(crate) fn variables(&self, resource: &str) -> (Vec<String>, bool) {
        let global = &self.document["Globals"]["Function"]["Environment"]["Variables"];
        let own = &self.document["Resources"][resource]["Properties"]["Environment"]["Variables"];
        let names = [global, own]
            .into_iter()
            .filter_map(Value::as_mapping)
            .flat_map(|variables| variables.keys())
            .filter_map(|name| Some(name.as_str()?.to_owned()));
        let secrets = untagged(&own["OTP_SECRETS"]).as_str().unwrap_or_default();
        (
            names.collect(),
            secrets.contains("otp_secrets_with_carriers"),
        )
    }

    /// The function that API Gateway calls for `path`, and the route. A route without variables has
    /// precedence over one with variables, and that one over the catch-all.
    pub(crate) fn route(&self, path: &str) -> (HttpFunction, &str) {
        let find = |matches: &dyn Fn(&str) -> bool| {
            self.routes
                .iter()
                .find(|(route, _)| matches(route))
                .map(|(route, function)| (*function, route.as_str()))
        };
        find(&|route| route == path)
            .or_else(|| find(&|route| matches_with_variables(route, path)))
            .or_else(|| find(&|route| route == DEFAULT_ROUTE))
            .unwrap_or((HttpFunction::Verify, DEFAULT_ROUTE))
    }

    /// The parameter that the template fills the variable `name` with.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let global = &self.document["Globals"]["Function"];
        let resources = Self::FUNCTIONS.map(|(_, resource)| {
            let resource = &self.document["Resources"][resource];
            &resource["Properties"]
        });
        let owners = std::iter::once(global).chain(resources);
        let mut values = owners.map(|owner| &owner["Environment"]["Variables"][name]);
        let value = values.find(|value| !value.is_null())?;
        untagged(value).as_str()
    }

    /// The default of the variable `name`, which is the default of the parameter that the template
    /// fills it with.
    pub(crate) fn default_value(&self, name: &str) -> Option<String> {
        let parameter = self.parameter(name)?;
        match &self.document["Parameters"][parameter]["Default"] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

fn routes(resources: &Value) -> Result<Vec<(String, HttpFunction)>, TemplateError> {
    let mut routes = vec![];
    for (resource, function) in [
        ("SendFunction", HttpFunction::Send),
        ("VerifyFunction", HttpFunction::Verify),
        ("FactorsFunction", HttpFunction::Factors),
        ("DeliveryCallbackFunction", HttpFunction::DeliveryCallback),
    ] {
        let events = resources[resource]["Properties"]["Events"]
            .as_mapping()
            .ok_or(TemplateError::Missing("the events of a function"))?;
        let http = events.values().filter(|event| event["Type"] == "HttpApi");
        routes.extend(http.filter_map(|event| {
            Some((event["Properties"]["Path"].as_str()?.to_owned(), function))
        }));
    }
    Ok(routes)
}

fn matches_with_variables(route: &str, path: &str) -> bool {
    let (route, path) = (route.split('/'), path.split('/'));
    route.clone().count() == path.clone().count()
        && route
            .zip(path)
            .all(|(route, path)| route == path || (route.starts_with('{') && !path.is_empty()))
}

fn text(value: &Value, name: &'static str) -> Result<String, TemplateError> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or(TemplateError::Missing(name))
}

fn number<T: TryFrom<u64>>(value: &Value, name: &'static str) -> Result<T, TemplateError> {
    let number = value.as_u64().and_then(|number| T::try_from(number).ok());
    number.ok_or(TemplateError::Missing(name))
}

/// Memory of each function, by its resource.
fn memory_mb(document: &Value) -> Result<BTreeMap<&'static str, u64>, TemplateError> {
    let common = &document["Globals"]["Function"]["MemorySize"];
    let memory = Template::FUNCTIONS.into_iter().map(|(_, resource)| {
        let own = &document["Resources"][resource]["Properties"]["MemorySize"];
        let size = if own.is_null() { common } else { own };
        let parameter = untagged(size).as_str().unwrap_or_default();
        let default = &document["Parameters"][parameter]["Default"];
        Ok((resource, number(default, "MemorySize")?))
    });
    memory.collect()
}

fn metric_filters(resources: &Value) -> Result<MetricFilters, TemplateError> {
    let mut filters = MetricFilters::new();
    let resources = resources.as_mapping().into_iter().flat_map(|r| r.values());
    for filter in resources.filter(|resource| resource["Type"] == "AWS::Logs::MetricFilter") {
        let (function, filter) = metric_filter(&filter["Properties"])
            .ok_or(TemplateError::Missing("a value of a metric filter"))?;
        filters.entry(function).or_default().push(filter);
    }
    Ok(filters)
}

/// A filter with the function of its log group, if it is of the one form that the functions' lines
/// need: value and dimensions are members of the line with these names.
fn metric_filter(properties: &Value) -> Option<(&'static str, MetricFilter)> {
    let group = untagged(&properties["LogGroupName"]).as_str()?;
    let function = Template::FUNCTIONS
        .into_iter()
        .find(|(_, resource)| group.strip_suffix("LogGroup") == resource.strip_suffix("Function"));
    let transformation = &properties["MetricTransformations"][0];
    let metric = transformation["MetricName"].as_str()?.to_owned();
    let dimensions = transformation["Dimensions"].as_sequence();
    let dimensions = dimensions.into_iter().flatten().map(|dimension| {
        let key = dimension["Key"].as_str()?;
        (dimension["Value"] == format!("$.{key}")).then(|| key.to_owned())
    });
    let is_of_form = transformation["MetricNamespace"] == "lambda-otp"
        && transformation["MetricValue"] == format!("$.{metric}")
        && properties["FilterPattern"] == format!("{{ $.{metric} >= 0 }}");
    let filter = MetricFilter {
        unit: transformation["Unit"].as_str()?.to_owned(),
        dimensions: dimensions.collect::<Option<_>>()?,
        metric,
    };
    Some((function?.0, filter)).filter(|_| is_of_form)
}

/// The value behind a tag such as `!Ref`.
fn untagged(value: &Value) -> &Value {
    match value {
        Value::Tagged(tagged) => &tagged.value,
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn template() -> Template {
        Template::read().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn template_defines_table_queue_and_functions() {
        let template = template();
        assert_eq!(template.table_key.attribute, "pk");
        assert_eq!(template.table_key.kind, "B");
        assert_eq!(template.ttl_attribute, "ttl");
        assert_eq!(template.batch_size, 10);
        assert_eq!(template.receives_max, 3);
        assert_eq!(template.visibility_seconds, 60);
        assert_eq!(template.timeout_seconds, 10);
        assert_eq!(template.memory_mb["SendFunction"], 256);
        assert_eq!(template.memory_mb["CarrierWorkerFunction"], 128);
    }

    /// Name, unit and dimensions of each metric in a table of the documentation.
    fn documented_metrics() -> Vec<(String, String, Vec<String>)> {
        let page = include_str!("../../docs/operations.md");
        let rows = page.lines().skip_while(|line| *line != "## Metrics");
        let rows = rows.skip_while(|line| !line.starts_with("| `"));
        let rows = rows.take_while(|line| line.starts_with("| `"));
        let metric_of_each_set = rows.flat_map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let (name, unit) = (cells[1].trim_matches('`'), cells[2]);
            let of_set = |set: &str| {
                let names = set.split('`').skip(1).step_by(2);
                (name.into(), unit.into(), names.map(str::to_owned).collect())
            };
            cells[3].split(';').map(of_set).collect::<Vec<_>>()
        });
        metric_of_each_set.collect()
    }

    #[test]
    fn metric_filters_make_the_documented_metrics() {
        let filters = template().metric_filters;
        let all = filters.values().flatten();
        let made: BTreeSet<_> = all
            .map(|filter| {
                let filter = filter.clone();
                (filter.metric, filter.unit, filter.dimensions)
            })
            .collect();
        assert_eq!(made, documented_metrics().into_iter().collect());
    }

    #[test]
    fn each_function_has_the_filters_of_its_metrics() {
        let template = template();
        for (function, metrics) in [
            (
                "send",
                "Approvals Approvals Deliveries Deliveries Refusals Sends Sends",
            ),
            ("verify", "Approvals Approvals Checks SendToApprovalSeconds"),
            (
                "factors",
                "Decisions Decisions FactorApprovals FactorChecks FactorLockouts",
            ),
            ("carrier-worker", "Deliveries Deliveries"),
            (
                "delivery-callback",
                "Deliveries Deliveries SendToReportSeconds SendToReportSeconds",
            ),
        ] {
            let filters = &template.metric_filters[function];
            let mut made: Vec<_> = filters.iter().map(|f| f.metric.as_str()).collect();
            made.sort_unstable();
            assert_eq!(made.join(" "), metrics, "{function}");
            let different: BTreeSet<_> =
                filters.iter().map(|f| (&f.metric, &f.dimensions)).collect();
            assert_eq!(different.len(), filters.len(), "{function}");
        }
    }

    #[test]
    fn metric_filters_are_made_one_after_the_other() {
        let document = template().document;
        let resources = document["Resources"].as_mapping().expect("resources");
        let is_filter = |resource: &Value| resource["Type"] == "AWS::Logs::MetricFilter";
        let filters = resources.iter().filter(|(_, resource)| is_filter(resource));
        let (mut count, mut before, mut first) = (0, BTreeSet::new(), 0);
        for (name, filter) in filters {
            count += 1;
            let Some(waits_for) = filter["DependsOn"].as_str() else {
                first += 1;
                continue;
            };
            assert!(is_filter(&resources[waits_for]), "{name:?}");
            assert!(
                before.insert(waits_for.to_owned()),
                "two wait for {waits_for}"
            );
            // Without `factors` its filters are not there to wait for.
            let is_there = resources[waits_for]["Condition"].is_null();
            assert!(is_there || !filter["Condition"].is_null(), "{name:?}");
        }
        assert_eq!((first, before.len()), (1, count - 1));
    }

    #[test]
    fn functions_have_the_variables_of_the_template() {
        let template = template();
        let (variables, with_carriers) = template.variables("CarrierWorkerFunction");
        assert!(with_carriers, "{variables:?}");
        for expected in ["OTP_BRAND", "OTP_QUEUE_URL"] {
            assert!(variables.iter().any(|name| name == expected), "{expected}");
        }
        let (variables, with_carriers) = template.variables("VerifyFunction");
        assert!(!with_carriers, "{variables:?}");
        assert!(variables.iter().all(|name| name != "OTP_QUEUE_URL"));
    }

    #[test]
    fn variables_have_the_defaults_of_the_template() {
        let default = |name| template().default_value(name);
        assert_eq!(default("OTP_CODE_LENGTH").as_deref(), Some("6"));
        assert_eq!(
            default("OTP_COOLDOWN_SECONDS").as_deref(),
            Some("30,60,120,300,600")
        );
    }

    #[test]
    fn paths_lead_to_the_function_of_their_route() {
        for (path, function) in [
            ("/v1/verifications", HttpFunction::Send),
            ("/v1/verifications/ve_1/resend", HttpFunction::Send),
            ("/v1/recipients/unlock", HttpFunction::Send),
            ("/v1/verifications/ve_1", HttpFunction::Verify),
            ("/v1/verifications/ve_1/check", HttpFunction::Verify),
            ("/v1/recipients/release", HttpFunction::Send),
            ("/v1/subjects/ann/factors/fa_1/check", HttpFunction::Factors),
            ("/v1/callbacks/sim-a/token", HttpFunction::DeliveryCallback),
            ("/v2/Services/VA1/Verifications", HttpFunction::Send),
            ("/v2/Services/VA1/Verifications/VE1", HttpFunction::Verify),
            ("/v2/Services/VA1/VerificationCheck", HttpFunction::Verify),
            ("/nowhere", HttpFunction::Verify),
        ] {
            assert_eq!(template().route(path).0, function, "{path}");
        }
    }
}
