//! Kind `notify`: AWS End User Messaging Notify, over SMS and voice. AWS owns the senders and the
//! templates: no number and no registration is needed.
//!
//! API: `pinpoint-sms-voice-v2`, `POST {base_url}/`, `SendNotifyTextMessage` and
//! `SendNotifyVoiceMessage`:
//! <https://docs.aws.amazon.com/sms-voice/latest/userguide/notify.html>. Errors and events are those
//! of kind `end_user_messaging`.
//!
//! Invariant: events come through SNS, and the caller of `report` has verified their envelope.

use ::http::{Request, Response};
use serde_json::json;

use super::carrier_trait::{
    Callback, Carrier, Conversion, ConversionFeedback, OutgoingMessage, Receipt, Report,
    ReportError,
};
use super::end_user_messaging::{
    REFERENCE_KEY, VALIDITY_SECONDS_MAX, VALIDITY_SECONDS_MIN, classify_error, event_report,
    is_identity, message_feedback, voice,
};
use super::vendor_format::{aws_json, config_fields, request};
use crate::domain::channel::Channel;
use crate::domain::time::Timestamp;
use crate::platform::json::Fields;

/// Variable of the templates that has the code.
const CODE_VARIABLE: &str = "code";

/// A carrier of kind `notify`.
pub struct Notify {
    base_url: String,
    configuration_id: String,
    /// A template of the configuration; its default template if `None`.
    template: Option<String>,
    configuration_set: Option<String>,
    /// Whether AWS is informed when a code came back.
    has_feedback: bool,
}

impl Notify {
    /// Fields: `notify_configuration_id` (id or ARN); optional `notify_template`, `feedback`, and
    /// `configuration_set`, which has the destination of the events.
    pub fn from_fields(fields: &mut Fields, region: &str) -> Self {
        let default_url = format!("https://sms-voice.{region}.amazonaws.com");
        let mut optional = |name: &str, format: &str| {
            fields.parsed_text(
                name,
                |text| is_identity(text).then(|| text.to_owned()),
                format,
            )
        };
        let template = optional("notify_template", "the id of a template");
        let configuration_set = optional("configuration_set", "the name of a configuration set");
        Self {
            base_url: config_fields::base_url(fields, Some(&default_url)),
            has_feedback: config_fields::flag(fields, "feedback"),
            configuration_id: config_fields::required(
                fields,
                "notify_configuration_id",
                is_identity,
                "the id or the ARN of a notify configuration",
            ),
            template,
            configuration_set,
        }
    }
}

impl ConversionFeedback for Notify {
    fn message_id(&self, response: &Response<Vec<u8>>, _reference: &str) -> Option<String> {
        aws_json::message_id(response)
    }

    fn feedback_request(&self, conversion: &Conversion<'_>) -> Request<String> {
        message_feedback(&self.base_url, conversion.message_id)
    }
}

impl Carrier for Notify {
    fn feedback(&self) -> Option<&dyn ConversionFeedback> {
        self.has_feedback.then_some(self)
    }

    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        let validity_seconds = message
            .validity_seconds
            .clamp(VALIDITY_SECONDS_MIN, VALIDITY_SECONDS_MAX);
        let mut body = json!({
            "NotifyConfigurationId": self.configuration_id,
            "DestinationPhoneNumber": message.to.reveal(),
            "TemplateVariables": {CODE_VARIABLE: message.code},
            "TimeToLive": validity_seconds,
            "Context": {REFERENCE_KEY: message.reference},
        });
        if let Some(template) = &self.template {
            body["TemplateId"] = template.as_str().into();
        }
        if self.has_feedback {
            body["MessageFeedbackEnabled"] = true.into();
        }
        if let Some(name) = &self.configuration_set {
            body["ConfigurationSetName"] = name.as_str().into();
        }
        let operation = if message.channel == Channel::Voice {
            if let Some(voice) = voice(message.locale) {
                body["VoiceId"] = voice.into();
            }
            "SendNotifyVoiceMessage"
        } else {
            "SendNotifyTextMessage"
        };
        let headers = [
            ("content-type", "application/x-amz-json-1.0".to_owned()),
            ("x-amz-target", format!("PinpointSMSVoiceV2.{operation}")),
        ];
        request::post(&format!("{}/", self.base_url), &headers, body.to_string())
    }

    fn receipt(&self, response: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        aws_json::receipt(response, now, classify_error)
    }

    fn report(&self, callback: &Callback<'_>, _: Timestamp) -> Result<Vec<Report>, ReportError> {
        event_report(callback)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::carrier::fixture;
    use crate::message::Encoding;

    fn carrier(entry: Value) -> (Notify, Vec<String>) {
        fixture::read(|fields| Notify::from_fields(fields, "eu-west-1"), entry)
    }

    #[test]
    fn request_names_the_configuration_and_the_code() {
        let entry = json!({"notify_configuration_id": "nc-1", "notify_template": "otp-1",
            "configuration_set": "otp"});
        let (carrier, wrong) = carrier(entry);
        assert_eq!(wrong, Vec::<String>::new());
        let text = fixture::request(&carrier, "unused", Encoding::Gsm7, |_| ());
        let expected = json!({
            "NotifyConfigurationId": "nc-1",
            "DestinationPhoneNumber": "+33612345678",
            "TemplateId": "otp-1",
            "TemplateVariables": {"code": "4217"},
            "TimeToLive": 300,
            "Context": {"m": fixture::REFERENCE},
            "ConfigurationSetName": "otp",
        });
        assert_eq!(fixture::json(&text), expected);
        assert_eq!(text.uri(), "https://sms-voice.eu-west-1.amazonaws.com/");
        assert_eq!(
            text.headers()["x-amz-target"],
            "PinpointSMSVoiceV2.SendNotifyTextMessage"
        );
        let call = fixture::request(&carrier, "unused", Encoding::Gsm7, |message| {
            message.channel = Channel::Voice;
            message.locale = "fr";
        });
        assert_eq!(
            call.headers()["x-amz-target"],
            "PinpointSMSVoiceV2.SendNotifyVoiceMessage"
        );
        assert_eq!(fixture::json(&call)["VoiceId"], "LEA");
    }

    #[test]
    fn configuration_is_required() {
        assert_eq!(carrier(json!({})).1, ["notify_configuration_id"]);
        assert_eq!(
            carrier(json!({"notify_configuration_id": "a b", "notify_template": ""})).1,
            ["notify_template", "notify_configuration_id"]
        );
    }
}
