//! What the local server takes from template.yaml, so that drift between the two shows at home: routes, the table's key
//! and TTL attribute, the variables' defaults, batch size, receive count, visibility time.

use serde_norway::Value;

/// The functions behind the HTTP API, by their names in the template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Function {
    Send,
    Verify,
    DeliveryCallback,
}

impl Function {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Verify => "verify",
            Self::DeliveryCallback => "delivery-callback",
        }
    }
}

/// The template's settings.
pub(crate) struct Template {
    routes: Vec<(String, Function)>,
    pub(crate) key: (String, String),
    pub(crate) ttl: String,
    pub(crate) batch_size: usize,
    pub(crate) receives_max: u32,
    pub(crate) visibility_seconds: i64,
    pub(crate) timeout_seconds: u64,
    pub(crate) memory_mb: u64,
    document: Value,
}

const TEMPLATE: &str = include_str!("../../template.yaml");

impl Template {
    /// The template that this server was built with.
    pub(crate) fn read() -> Result<Self, String> {
        let document: Value =
            serde_norway::from_str(TEMPLATE).map_err(|error| format!("template.yaml: {error}"))?;
        let resources = &document["Resources"];
        let table = &resources["Table"]["Properties"];
        let queue = &resources["DispatchQueue"]["Properties"];
        let text = |value: &Value| {
            value
                .as_str()
                .map(str::to_owned)
                .ok_or("template.yaml: a text is missing")
        };
        let number = |value: &Value| value.as_u64().ok_or("template.yaml: a number is missing");
        let mut routes = vec![];
        for (name, function) in [
            ("SendFunction", Function::Send),
            ("VerifyFunction", Function::Verify),
            ("DeliveryCallbackFunction", Function::DeliveryCallback),
        ] {
            let events = resources[name]["Properties"]["Events"]
                .as_mapping()
                .ok_or("template.yaml: a function has no events")?;
            let http = events.values().filter(|event| event["Type"] == "HttpApi");
            routes.extend(http.filter_map(|event| {
                Some((event["Properties"]["Path"].as_str()?.to_owned(), function))
            }));
        }
        let worker = resources["CarrierWorkerFunction"]["Properties"]["Events"].as_mapping();
        let trigger = worker
            .and_then(|events| events.values().find(|event| event["Type"] == "SQS"))
            .ok_or("template.yaml: no queue trigger")?;
        Ok(Self {
            key: (
                text(&table["KeySchema"][0]["AttributeName"])?,
                text(&table["AttributeDefinitions"][0]["AttributeType"])?,
            ),
            ttl: text(&table["TimeToLiveSpecification"]["AttributeName"])?,
            batch_size: usize::try_from(number(&trigger["Properties"]["BatchSize"])?).unwrap_or(1),
            receives_max: u32::try_from(number(untagged(
                &queue["RedrivePolicy"]["maxReceiveCount"],
            ))?)
            .unwrap_or(1),
            visibility_seconds: i64::try_from(number(&queue["VisibilityTimeout"])?).unwrap_or(0),
            timeout_seconds: number(&document["Globals"]["Function"]["Timeout"])?,
            memory_mb: number(&document["Parameters"]["MemorySize"]["Default"])?,
            routes,
            document,
        })
    }

    /// The functions: their names, and those of their resources.
    pub(crate) const FUNCTIONS: [(&str, &str); 4] = [
        ("send", "SendFunction"),
        ("verify", "VerifyFunction"),
        ("delivery-callback", "DeliveryCallbackFunction"),
        ("carrier-worker", "CarrierWorkerFunction"),
    ];

    /// The names of the variables that the function `resource` is given, and whether its secrets hold the carriers'.
    pub(crate) fn variables_of(&self, resource: &str) -> (Vec<String>, bool) {
        let of_all = &self.document["Globals"]["Function"]["Environment"]["Variables"];
        let own = &self.document["Resources"][resource]["Properties"]["Environment"]["Variables"];
        let names = [of_all, own]
            .into_iter()
            .filter_map(Value::as_mapping)
            .flat_map(|variables| variables.keys());
        let secrets = untagged(&own["OTP_SECRETS"]).as_str().unwrap_or_default();
        (
            names
                .filter_map(|name| Some(name.as_str()?.to_owned()))
                .collect(),
            secrets.contains("otp_secrets_with_carriers"),
        )
    }

    /// The function that API Gateway would call for `path`, and the route: the one without variables first, then one
    /// with, then the catch-all.
    pub(crate) fn function(&self, path: &str) -> (Function, &str) {
        let exact = self.routes.iter().find(|(route, _)| route == path);
        let fits = |route: &str| {
            route.split('/').count() == path.split('/').count()
                && route
                    .split('/')
                    .zip(path.split('/'))
                    .all(|(r, p)| r == p || (r.starts_with('{') && !p.is_empty()))
        };
        let with_variables = || self.routes.iter().find(|(route, _)| fits(route));
        let catch_all = || self.routes.iter().find(|(route, _)| route == "$default");
        let found = exact.or_else(with_variables).or_else(catch_all);
        found.map_or((Function::Verify, "$default"), |(route, function)| {
            (*function, route)
        })
    }

    /// The default of the variable `name`: that of the parameter that the template fills it with.
    pub(crate) fn default_of(&self, name: &str) -> Option<String> {
        let parameter =
            untagged(&self.document["Globals"]["Function"]["Environment"]["Variables"][name])
                .as_str()?;
        match &self.document["Parameters"][parameter]["Default"] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
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
    use super::*;

    #[test]
    fn the_template_says_what_the_server_needs() {
        let template = Template::read().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            (
                template.key.0.as_str(),
                template.key.1.as_str(),
                template.ttl.as_str()
            ),
            ("pk", "B", "ttl")
        );
        assert_eq!(
            (
                template.batch_size,
                template.receives_max,
                template.visibility_seconds
            ),
            (10, 3, 60)
        );
        assert_eq!((template.timeout_seconds, template.memory_mb), (10, 256));
        let (variables, with_carriers) = template.variables_of("CarrierWorkerFunction");
        assert!(
            with_carriers
                && ["OTP_BRAND", "OTP_QUEUE_URL"]
                    .iter()
                    .all(|wanted| variables.iter().any(|name| name == wanted)),
            "{variables:?}"
        );
        let (variables, with_carriers) = template.variables_of("VerifyFunction");
        assert!(
            !with_carriers && variables.iter().all(|name| name != "OTP_QUEUE_URL"),
            "{variables:?}"
        );
        assert_eq!(template.default_of("OTP_CODE_LENGTH").as_deref(), Some("6"));
        assert_eq!(
            template.default_of("OTP_COOLDOWN_SECONDS").as_deref(),
            Some("30,60,120,300,600")
        );
        for (path, function) in [
            ("/v1/verifications", Function::Send),
            ("/v1/verifications/ve_1/resend", Function::Send),
            ("/v1/recipients/unlock", Function::Send),
            ("/v1/verifications/ve_1", Function::Verify),
            ("/v1/verifications/ve_1/check", Function::Verify),
            ("/v1/callbacks/sim-a/token", Function::DeliveryCallback),
            ("/nowhere", Function::Verify),
        ] {
            assert_eq!(template.function(path).0, function, "{path}");
        }
    }
}
