//! Senders on the wire: by country, in the form that each vendor accepts, and the registrations of
//! India.

use serde_json::{Value, json};

use super::setup::{VendorSetup, code, parsed};
use super::vendor::Vendor;
use super::{response_tables, vendors};
use crate::support::{assert_status, with};

const FRANCE: &str = "+33612345678";
const BELGIUM: &str = "+32470123456";
const UNITED_STATES: &str = "+12025550143";
const INDIA: &str = "+919876543210";

/// The vendors of text messages with these settings instead of a sender.
fn text_vendors(change: &Value) -> Vec<Vendor> {
    let sns = response_tables::all().into_iter().map(|table| table.vendor);
    let sns = sns.filter(|vendor| vendor.kind == "sns");
    let mut vendors: Vec<_> = vendors().into_iter().chain(sns).collect();
    // AWS owns the senders of Notify.
    vendors.retain(|vendor| vendor.channel == "sms" && vendor.kind != "notify");
    for vendor in &mut vendors {
        vendor.settings["sender"] = Value::Null;
        vendor.settings = with(vendor.settings.clone(), change);
    }
    vendors
}

/// The value of an attribute of a message of SNS.
fn attribute<'m>(message: &'m Value, name: &str) -> Option<&'m Value> {
    let fields = message.as_object()?.iter();
    let mut names = fields.filter(|(_, value)| *value == name);
    let entry = names.next()?.0.strip_suffix("Name")?;
    message.get(format!("{entry}Value.StringValue"))
}

/// The sender in a message, by the documentation of the vendor.
fn sender_of(kind: &str, message: &Value) -> Option<String> {
    let found = match kind {
        "vonage" => message.get("from"),
        "cm" => message.pointer("/messages/msg/0/from"),
        "smspartner" => message.get("sender"),
        "smsbox" => message.get("origine"),
        "smspm" => message.get("fromNumber"),
        "labsmobile" => message.get("tpoa"),
        "twilio" => message.get("From"),
        "end_user_messaging" => message.get("OriginationIdentity"),
        "sns" => attribute(message, "AWS.SNS.SMS.SenderID")
            .or_else(|| attribute(message, "AWS.MM.SMS.OriginationNumber")),
        kind => panic!("{kind}"),
    };
    found.and_then(Value::as_str).map(str::to_owned)
}

/// The sender of a message to each of these numbers.
async fn senders(vendor: &Vendor, brand: &str, to: &[&str]) -> Vec<Option<String>> {
    let setup = VendorSetup::start_for(vendor, &[("OTP_BRAND", brand)]).await;
    for to in to {
        setup.open(vendor, to).await;
    }
    let messages = setup.server.messages();
    let of = |message| sender_of(vendor.kind, &parsed(message));
    messages.iter().map(of).collect()
}

#[tokio::test]
async fn name_of_the_app_is_spelled_for_each_vendor() {
    for vendor in text_vendors(&json!({"countries": ["FR", "BE", "US"]})) {
        let label = vendor.label();
        let (brand, expected) = match vendor.kind {
            // They have a setting of their own.
            "twilio" | "end_user_messaging" => continue,
            // They do not start without a number for the US.
            "vonage" | "cm" => continue,
            "sns" => ("Café Zoë", [Some("CafeZoe"), None, None]),
            _ => ("Café Zoë", [Some("CafeZoe"), Some("CafeZoe"), None]),
        };
        let found = senders(&vendor, brand, &[FRANCE, BELGIUM, UNITED_STATES]).await;
        assert_eq!(
            found,
            expected.map(|name| name.map(str::to_owned)),
            "{label}"
        );
    }
    for vendor in text_vendors(&json!({"countries": ["FR", "BE"]})) {
        if ["vonage", "cm"].contains(&vendor.kind) {
            let found = senders(&vendor, "Acme Shop", &[FRANCE, BELGIUM]).await;
            assert_eq!(found, [(); 2].map(|()| Some("AcmeShop".to_owned())));
        }
    }
}

#[tokio::test]
async fn name_that_is_too_long_is_not_cut() {
    for vendor in text_vendors(&json!({"countries": ["FR"]})) {
        if ["smsbox", "smspartner", "smspm", "labsmobile", "sns"].contains(&vendor.kind) {
            let found = senders(&vendor, "Crédit Agricole", &[FRANCE]).await;
            assert_eq!(found, [None], "{}", vendor.kind);
        }
    }
}

#[tokio::test]
async fn sender_of_the_country_is_used() {
    let by_country = json!({"US": "+12025550100", "BE": "+32460201234", "*": "Acme"});
    for vendor in text_vendors(&json!({"sender": by_country})) {
        let found = senders(&vendor, "Other", &[FRANCE, BELGIUM, UNITED_STATES]).await;
        let plus = match vendor.kind {
            "twilio" | "end_user_messaging" | "sns" => "+",
            _ => "",
        };
        let expected = [
            "Acme".to_owned(),
            format!("{plus}32460201234"),
            format!("{plus}12025550100"),
        ];
        assert_eq!(found, expected.map(Some), "{}", vendor.kind);
    }
}

#[tokio::test]
async fn message_to_india_names_its_registrations() {
    let registered = json!({
        "entity_id": "1101456789012345678", "template_id": {"IN": "1107165432109876543"},
        "template_text": {"IN": "{code} is the OTP of your Acme account. -ACME"},
        "sender": {"IN": "ACMEIN", "*": "AcmeInc"}});
    let mut seen = 0;
    for vendor in text_vendors(&json!({})) {
        let ids = match vendor.kind {
            "vonage" => ["/sms/entity_id", "/sms/content_id"],
            "end_user_messaging" => [
                "/DestinationCountryParameters/IN_ENTITY_ID",
                "/DestinationCountryParameters/IN_TEMPLATE_ID",
            ],
            "sns" => ["AWS.MM.SMS.EntityId", "AWS.MM.SMS.TemplateId"],
            _ => continue,
        };
        seen += 1;
        let vendor = Vendor {
            settings: with(vendor.settings.clone(), &registered),
            ..vendor
        };
        let setup = VendorSetup::start(&vendor).await;
        let id = setup.open(&vendor, INDIA).await;
        setup.open(&vendor, FRANCE).await;
        let [indian, french] = &setup
            .server
            .messages()
            .iter()
            .map(parsed)
            .collect::<Vec<_>>()[..]
        else {
            panic!("two messages")
        };
        let found = ids.map(|at| match vendor.kind {
            "sns" => attribute(indian, at).and_then(Value::as_str),
            _ => indian.pointer(at).and_then(Value::as_str),
        });
        let expected = ["1101456789012345678", "1107165432109876543"];
        assert_eq!(found, expected.map(Some), "{} {indian}", vendor.kind);
        let text = indian
            .pointer(vendor.text)
            .and_then(Value::as_str)
            .unwrap_or_default();
        assert!(
            text.ends_with(" is the OTP of your Acme account. -ACME"),
            "{text}"
        );
        assert_eq!(sender_of(vendor.kind, indian).as_deref(), Some("ACMEIN"));
        assert!(
            !french.to_string().contains("1107165432109876543"),
            "{french}"
        );
        assert!(!french.to_string().contains("Acme account"), "{french}");
        let checked = setup.service.check(&id, &code(text)).await;
        assert_status(&checked, 200);
        assert_eq!(checked.body["valid"], true);
    }
    assert_eq!(seen, 3);
}
