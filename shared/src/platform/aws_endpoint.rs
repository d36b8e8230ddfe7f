//! Endpoint URLs of AWS services, by the endpoint rules of the SDK, which cover all partitions.

use futures_util::FutureExt as _;

// Each crate of the SDK has the same functions, with its own types.
macro_rules! url {
    ($($module:ident)::+, $region:expr) => {{
        use $($module)::+::{DefaultResolver, Params, ResolveEndpoint};
        let params = Params::builder().region($region).build().ok()?;
        let resolver = DefaultResolver::new();
        // The resolver never waits.
        let resolved = ResolveEndpoint::resolve_endpoint(&resolver, &params).now_or_never()?;
        Some(resolved.ok()?.url().to_owned())
    }};
}

/// The URL of DynamoDB in `region`, such as `https://dynamodb.eu-west-1.amazonaws.com`; `None` if
/// the region is not part of a host name.
pub(super) fn dynamodb(region: &str) -> Option<String> {
    url!(aws_sdk_dynamodb::config::endpoint, region)
}

/// As [`dynamodb`], of SQS.
pub(super) fn sqs(region: &str) -> Option<String> {
    url!(aws_sdk_sqs::config::endpoint, region)
}

/// As [`dynamodb`], of SNS.
pub(super) fn sns(region: &str) -> Option<String> {
    url!(aws_sdk_sns::config::endpoint, region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_that_of_the_partition() {
        for (url, expected) in [
            (dynamodb("eu-west-1"), "dynamodb.eu-west-1.amazonaws.com"),
            (sqs("us-east-1"), "sqs.us-east-1.amazonaws.com"),
            (sns("cn-north-1"), "sns.cn-north-1.amazonaws.com.cn"),
            (
                dynamodb("us-iso-east-1"),
                "dynamodb.us-iso-east-1.c2s.ic.gov",
            ),
            (sqs("eusc-de-east-1"), "sqs.eusc-de-east-1.amazonaws.eu"),
        ] {
            assert_eq!(url, Some(format!("https://{expected}")));
        }
        for region in ["", "eu west", "eu/west"] {
            assert_eq!(dynamodb(region), None, "{region}");
        }
    }
}
