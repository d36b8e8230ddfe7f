//! The documented error responses of the AWS services, and the class of each.

use serde_json::json;

use super::aws;
use super::response_classes::Class::{
    AccountRejected, Blocked, Misconfigured, Permanent, Transient, Unknown,
};
use super::response_tables::Rows;
use super::vendor::Vendor;

/// SNS does not report, so it is in none of the other tests.
pub fn sns() -> Vendor {
    let mut vendor = aws::vendors().swap_remove(0);
    vendor.kind = "sns";
    vendor.settings = json!({});
    vendor.secrets = json!({});
    vendor.text = "/Message";
    vendor.accepted = (
        200,
        "<PublishResponse xmlns=\"https://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
         <MessageId>94f20ce6-13c5-43a0-9a9e-ca52d816e90b</MessageId></PublishResult>\
         </PublishResponse>",
    );
    vendor
}

/// Its notifications.
pub fn sns_push() -> Vendor {
    Vendor {
        channel: "push",
        ..sns()
    }
}

macro_rules! aws {
    ($type:literal, $reason:literal) => {
        (
            400,
            concat!(
                "{\"__type\":\"",
                $type,
                "\",\"Message\":\"…\",\"Reason\":\"",
                $reason,
                "\"}"
            ),
        )
    };
}

pub const END_USER_MESSAGING: Rows = &[
    (
        aws!("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT"),
        Permanent,
    ),
    (
        (
            400,
            r#"{"__type":"ValidationException","Reason":"INVALID_PARAMETER","Fields":[{"Name":"DestinationPhoneNumber","Message":"…"}]}"#,
        ),
        Permanent,
    ),
    // No other carrier should call this number either.
    (
        aws!(
            "ServiceQuotaExceededException",
            "DAILY_DESTINATION_CALL_LIMIT"
        ),
        Permanent,
    ),
    (
        aws!(
            "ConflictException",
            "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION"
        ),
        Blocked,
    ),
    (
        aws!(
            "ConflictException",
            "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE"
        ),
        Blocked,
    ),
    (
        aws!("ValidationException", "COUNTRY_NOT_ENABLED"),
        Misconfigured,
    ),
    (
        aws!("ValidationException", "DESTINATION_COUNTRY_BLOCKED"),
        Misconfigured,
    ),
    (
        aws!("ValidationException", "PRICE_OVER_THRESHOLD"),
        Misconfigured,
    ),
    (
        aws!("ValidationException", "SENDER_ID_REQUIRES_REGISTRATION"),
        Misconfigured,
    ),
    (
        aws!("ValidationException", "SENDER_ID_NOT_SUPPORTED"),
        Misconfigured,
    ),
    (
        aws!("ValidationException", "SENDER_ID_NOT_REGISTERED"),
        Misconfigured,
    ),
    (
        aws!(
            "ValidationException",
            "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY"
        ),
        Misconfigured,
    ),
    (
        aws!("ValidationException", "VOICE_CAPABILITY_NOT_AVAILABLE"),
        Misconfigured,
    ),
    (
        aws!("ConflictException", "NO_ORIGINATION_IDENTITIES_FOUND"),
        Misconfigured,
    ),
    (
        aws!("ConflictException", "DESTINATION_PHONE_NUMBER_NOT_VERIFIED"),
        Misconfigured,
    ),
    (
        aws!(
            "ServiceQuotaExceededException",
            "MONTHLY_SPEND_LIMIT_REACHED_FOR_VOICE"
        ),
        Misconfigured,
    ),
    (
        aws!(
            "ServiceQuotaExceededException",
            "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT"
        ),
        Misconfigured,
    ),
    (aws!("AccessDeniedException", ""), Misconfigured),
    (aws!("ResourceNotFoundException", ""), Misconfigured),
    (
        aws!("AccessDeniedException", "ACCOUNT_DISABLED"),
        AccountRejected,
    ),
    (
        aws!("AccessDeniedException", "INSUFFICIENT_ACCOUNT_REPUTATION"),
        AccountRejected,
    ),
    (aws!("UnrecognizedClientException", ""), AccountRejected),
    (aws!("ThrottlingException", ""), Transient),
    ((500, r#"{"__type":"InternalServerException"}"#), Transient),
    ((200, "{}"), Unknown),
];

pub const SES: Rows = &[
    (
        (
            400,
            r#"{"__type":"MessageRejected","message":"Address blacklisted."}"#,
        ),
        Permanent,
    ),
    (
        (
            400,
            r#"{"__type":"MessageRejected","message":"Email address is not verified."}"#,
        ),
        Misconfigured,
    ),
    (
        (
            400,
            r#"{"__type":"BadRequestException","message":"Missing final '@domain'"}"#,
        ),
        Permanent,
    ),
    (
        (
            400,
            r#"{"__type":"BadRequestException","message":"Missing required header 'From'."}"#,
        ),
        Misconfigured,
    ),
    ((404, r#"{"__type":"NotFoundException"}"#), Misconfigured),
    (
        aws!("MailFromDomainNotVerifiedException", ""),
        Misconfigured,
    ),
    (aws!("AccountSuspendedException", ""), AccountRejected),
    (aws!("SendingPausedException", ""), AccountRejected),
    (aws!("LimitExceededException", ""), Transient),
    ((429, r#"{"__type":"TooManyRequestsException"}"#), Transient),
    ((200, "{}"), Unknown),
];

macro_rules! sns {
    ($status:literal, $code:literal) => {
        (
            $status,
            concat!(
                "<ErrorResponse xmlns=\"https://sns.amazonaws.com/doc/2010-03-31/\"><Error>",
                "<Type>Sender</Type><Code>",
                $code,
                "</Code><Message>…</Message></Error><RequestId>1</RequestId></ErrorResponse>"
            ),
        )
    };
}

pub const SNS: Rows = &[
    (sns!(400, "InvalidParameter"), Permanent),
    (sns!(400, "InvalidParameterValue"), Permanent),
    (sns!(400, "ParameterValueInvalid"), Permanent),
    (sns!(400, "OptedOut"), Permanent),
    (sns!(404, "NotFound"), Misconfigured),
    (sns!(400, "KMSDisabled"), Misconfigured),
    (sns!(403, "AuthorizationError"), Misconfigured),
    (sns!(400, "EndpointDisabled"), Misconfigured),
    (sns!(403, "InvalidClientTokenId"), AccountRejected),
    (sns!(403, "SignatureDoesNotMatch"), AccountRejected),
    // The model calls it so, not `Throttling`.
    (sns!(429, "Throttled"), Transient),
    (sns!(400, "Throttling"), Transient),
    (sns!(500, "InternalError"), Transient),
];

pub const SNS_PUSH: Rows = &[
    (sns!(400, "EndpointDisabled"), Permanent),
    (sns!(404, "NotFound"), Permanent),
    (sns!(400, "InvalidParameter"), Permanent),
    (sns!(400, "PlatformApplicationDisabled"), Misconfigured),
    (sns!(403, "AuthorizationError"), Misconfigured),
    (sns!(403, "InvalidClientTokenId"), AccountRejected),
    (sns!(429, "Throttled"), Transient),
    (sns!(500, "InternalError"), Transient),
];
