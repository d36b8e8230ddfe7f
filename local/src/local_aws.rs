//! The AWS region and credentials of the local server: `local` throughout.

use otp::platform::aws::{Aws, AwsSettings};

const LOCAL: &str = "local";

/// The variables that Lambda would set. An empty value hides the variable of this process.
pub(crate) const VARIABLES: [(&str, &str); 5] = [
    ("AWS_REGION", LOCAL),
    ("AWS_ACCESS_KEY_ID", LOCAL),
    ("AWS_SECRET_ACCESS_KEY", LOCAL),
    ("AWS_SESSION_TOKEN", ""),
    ("AWS_ENDPOINT_URL", ""),
];

/// The same for clients of the local server itself, with DynamoDB at `dynamodb_url`.
pub(crate) fn aws(dynamodb_url: String) -> Aws {
    Aws::new(AwsSettings {
        region: LOCAL.into(),
        access_key_id: LOCAL.into(),
        secret_access_key: LOCAL.into(),
        session_token: None,
        endpoint_urls: [Some(dynamodb_url), None, None],
    })
}
