//! Notifications of SNS: the payloads for APNs and FCM.
//!
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-send-custom-platform-specific-payloads-mobile-devices.html>,
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-fcm-v1-payloads.html>,
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-ttl.html>

use serde_json::json;

use crate::carrier::carrier_trait::{Notification, OutgoingMessage};

/// How long the platforms try to reach a device. A platform ignores the attributes of the others.
pub(super) const TTL_ATTRIBUTES: [&str; 3] = [
    "AWS.SNS.MOBILE.APNS.TTL",
    "AWS.SNS.MOBILE.APNS_SANDBOX.TTL",
    "AWS.SNS.MOBILE.GCM.TTL",
];

/// Whether `arn` is that of a platform endpoint, and not that of a topic.
pub(super) fn is_endpoint(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    matches!(parts[..], ["arn", _, "sns", _, _, resource] if resource.starts_with("endpoint/"))
}

/// The payload of each platform, as text in one JSON document. The endpoint decides which one is
/// sent.
pub(super) fn payloads(message: &OutgoingMessage<'_>, to: Notification<'_>) -> String {
    let text = message.message.text.as_str();
    let shown = json!({"title": to.title, "body": text});
    let data = json!({"code": message.code, "verification_id": to.verification_id});
    let apns = json!({
        "aps": {"alert": shown, "sound": "default"},
        "code": message.code,
        "verification_id": to.verification_id,
    })
    .to_string();
    let ttl_seconds = message.validity_seconds.max(1);
    let android = json!({"priority": "high", "ttl": format!("{ttl_seconds}s")});
    let message = json!({"notification": shown, "data": data, "android": android});
    let fcm = json!({"fcmV1Message": {"message": message}}).to_string();
    json!({"default": text, "APNS": apns, "APNS_SANDBOX": apns, "GCM": fcm}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_platform_endpoints_are_devices() {
        let endpoint = "arn:aws:sns:eu-west-1:123456789012:endpoint/APNS/shop/5e3e9847";
        assert!(is_endpoint(endpoint));
        assert!(is_endpoint(&endpoint.replace("aws", "aws-cn")));
        for other in [
            "",
            "token",
            "arn:aws:sns:eu-west-1:123456789012:topic",
            "arn:aws:sqs:eu-west-1:123456789012:endpoint/APNS/shop/5e3e9847",
            "arn:aws:sns:eu-west-1:123456789012:app/APNS/shop",
        ] {
            assert!(!is_endpoint(other), "{other}");
        }
    }
}
