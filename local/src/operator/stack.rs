//! A deployed stack: its outputs, its parameters, and its secret.

use std::collections::HashMap;

use serde_json::Value;

use super::aws_session::AwsSession;
use super::error::OperatorError;

/// Outputs and parameters of a stack.
pub(super) struct Stack {
    outputs: HashMap<String, String>,
    pub(super) parameters: HashMap<String, String>,
}

impl Stack {
    /// Reads the stack called `name`.
    pub(super) async fn read(session: &AwsSession, name: &str) -> Result<Self, OperatorError> {
        let client = aws_sdk_cloudformation::Client::new(&session.config);
        let described = client.describe_stacks().stack_name(name).send().await;
        let described = described.map_err(|e| OperatorError::aws("DescribeStacks", e))?;
        let stack = described.stacks().first();
        let outputs = stack.iter().flat_map(|stack| stack.outputs());
        let outputs = outputs.filter_map(|output| {
            Some((
                output.output_key()?.to_owned(),
                output.output_value()?.to_owned(),
            ))
        });
        let parameters = stack.iter().flat_map(|stack| stack.parameters());
        let parameters = parameters.filter_map(|parameter| {
            Some((
                parameter.parameter_key()?.to_owned(),
                parameter.parameter_value()?.to_owned(),
            ))
        });
        Ok(Self {
            outputs: outputs.collect(),
            parameters: parameters.collect(),
        })
    }

    /// An output.
    pub(super) fn output(&self, name: &'static str) -> Result<String, OperatorError> {
        let value = self.outputs.get(name).cloned();
        value.ok_or(OperatorError::NoOutput(name))
    }
}

/// `OTP_SECRETS`, with the carriers' credentials, from the secret `id`.
pub(super) async fn secrets(session: &AwsSession, id: &str) -> Result<String, OperatorError> {
    let client = aws_sdk_secretsmanager::Client::new(&session.config);
    let secret = client.get_secret_value().secret_id(id).send().await;
    let secret = secret.map_err(|e| OperatorError::aws("GetSecretValue", e))?;
    let entries: Value = serde_json::from_str(secret.secret_string().unwrap_or_default())
        .map_err(|_| OperatorError::Secret)?;
    let document = entries["otp_secrets_with_carriers"].as_str();
    document.map(str::to_owned).ok_or(OperatorError::Secret)
}
