//! The environment variables of a process: those that the template gives its function, the AWS
//! endpoints of the local server, and those of Lambda itself.

use otp::platform::environment::{LAMBDA_BYTES_MAX, lambda_bytes};
use serde_json::Value;

use super::built::BuiltFunctionsError;
use crate::template::Template;

/// Set by Lambda from the execution role, or by the local server.
const AWS_VARIABLES: [&str; 7] = [
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_SNS",
];

/// All variables of the function called `name`, which `resource` defines. `variable` looks a value
/// up.
///
/// # Errors
/// [`BuiltFunctionsError::TooManyBytes`] if Lambda would reject them.
pub(super) fn lambda_variables(
    name: &'static str,
    resource: &str,
    template: &Template,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, BuiltFunctionsError> {
    let mut variables = template_variables(resource, template, &variable)?;
    let bytes = bytes_of(&variables);
    if bytes > LAMBDA_BYTES_MAX {
        let largest = variables.iter().max_by_key(|(_, value)| value.len());
        return Err(BuiltFunctionsError::TooManyBytes {
            function: name,
            bytes,
            largest: largest.map(|(name, _)| name.clone()).unwrap_or_default(),
        });
    }
    for name in AWS_VARIABLES {
        if let Some(value) = variable(name).filter(|value| !value.is_empty()) {
            variables.push((name.to_owned(), value));
        }
    }
    let region = variable("AWS_REGION").unwrap_or_default();
    let reserved = reserved_variables(name, &region, template.memory_mb[resource]);
    variables.extend(reserved.map(|(name, value)| (name.to_owned(), value)));
    Ok(variables)
}

/// The function with the most bytes of variables, and how many Lambda would count.
pub(crate) fn most_bytes(
    template: &Template,
    variable: impl Fn(&str) -> Option<String>,
) -> (&'static str, usize) {
    let bytes = |(name, resource): (&'static str, &str)| {
        let variables = template_variables(resource, template, &variable);
        (name, bytes_of(&variables.unwrap_or_default()))
    };
    let all = Template::FUNCTIONS.map(bytes);
    let most = all.into_iter().max_by_key(|(_, bytes)| *bytes);
    most.unwrap_or_default()
}

fn bytes_of(variables: &[(String, String)]) -> usize {
    let variables = variables.iter();
    lambda_bytes(variables.map(|(name, value)| (name.as_str(), value.as_str())))
}

/// The variables that the template gives the function that `resource` defines.
fn template_variables(
    resource: &str,
    template: &Template,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, BuiltFunctionsError> {
    let (names, with_carriers) = template.variables(resource);
    let mut variables = vec![];
    for name in names {
        let Some(mut value) = variable(&name) else {
            continue;
        };
        if name == "OTP_SECRETS" && !with_carriers {
            value = without_carriers(&value)?;
        }
        variables.push((name, value));
    }
    Ok(variables)
}

/// `OTP_SECRETS` for a function that does not call carriers.
fn without_carriers(secrets: &str) -> Result<String, BuiltFunctionsError> {
    let mut secrets: Value = serde_json::from_str(secrets).map_err(BuiltFunctionsError::Secrets)?;
    if let Value::Object(secrets) = &mut secrets {
        for name in ["carriers", "carrier_seal"] {
            secrets.remove(name);
        }
    }
    Ok(secrets.to_string())
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>
fn reserved_variables(name: &str, region: &str, memory_mb: u64) -> [(&'static str, String); 13] {
    [
        ("AWS_DEFAULT_REGION", region.to_owned()),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023".to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory_mb.to_string()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
        ("LAMBDA_TASK_ROOT", "/var/task".to_owned()),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("_HANDLER", "bootstrap".to_owned()),
    ]
}
