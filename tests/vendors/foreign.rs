//! Reports about messages that are none of ours: an account may be used by other programs as well, and its one URL gets the
//! reports of all of them. They are genuine, change nothing, and hold up none of ours.

use serde_json::{Value, json};

use super::{CALLBACK_TOKEN, Message, Posted, Stand, Vendor, aws, parsed, signed, vendors};
use crate::given::{phone, with};

/// The vendors that know one URL for the whole account, one of those by choice.
fn of_accounts() -> Vec<Vendor> {
    let mut all = vendors();
    for vendor in all.iter_mut().filter(|vendor| vendor.kind == "vonage") {
        vendor.settings["callback_token"] = CALLBACK_TOKEN.into();
        vendor.url = None;
    }
    all.retain(|vendor| vendor.url.is_none());
    assert_eq!(all.len(), 6);
    all
}

/// Genuine reports that name no message, one of somebody else, or say no word about it.
fn reports(vendor: &Vendor, message: &Message) -> Vec<Posted> {
    let headers = vec![("content-type", "application/json".to_owned())];
    let posted = |body: Value| Posted {
        method: "POST",
        url: message.url.clone(),
        headers: headers.clone(),
        body: body.to_string(),
    };
    let got = |query: &str| Posted {
        method: "GET",
        url: format!("{}?{query}", message.url),
        headers: vec![],
        body: String::new(),
    };
    match vendor.kind {
        "smsbox" => [
            "numero=33612345678&reference=123456789012&accuse=0&ts=1",
            "accuse=0&m=",
            "accuse=0&m=order-7",
            "m=order-7",
        ]
        .map(got)
        .into(),
        "cm" => {
            let status = json!({"code": "2", "errorCode": ""});
            let entries = [
                json!({"to": "00336", "status": status}),
                json!({"reference": "order-7", "status": status}),
                json!({"reference": "order-7"}),
            ];
            let single = entries
                .clone()
                .map(|entry| json!({"messages": {"msg": entry}}));
            let all = [
                json!({"messages": {"msg": entries}}),
                json!({"messages": {"msg": []}}),
                json!({}),
            ];
            single
                .into_iter()
                .chain(all)
                .map(posted)
                .chain([got("status=2"), got("reference=order-7")])
                .collect()
        }
        "vonage" => {
            let report = json!({"message_uuid": "aa", "to": "33612345678", "status": "delivered"});
            let reports = [
                report.clone(),
                with(report, &json!({"client_ref": "order-7"})),
                json!({"message_type": "text", "text": "STOP"}),
            ];
            reports
                .iter()
                .map(|report| signed::signed_by_vonage(message, report))
                .collect()
        }
        "ses" => {
            let events = [
                "{}",
                r#"{"ses:source-ip":["192.0.2.1"]}"#,
                r#"{"m":["order-7"]}"#,
            ]
            .map(|tags| format!(r#"{{"tags":{tags}}}"#));
            let mail = |mail: &String| json!({"eventType": "Delivery", "mail": serde_json::from_str::<Value>(mail).expect("JSON")});
            let events = events
                .iter()
                .map(mail)
                .chain([json!({"eventType": "Delivery"}), json!({})]);
            events
                .map(|event| aws::notification(message, &event))
                .collect()
        }
        _ => {
            let event = json!({"eventType": "TEXT_DELIVERED", "eventVersion": "1.0"});
            let events = [
                event.clone(),
                with(event, &json!({"context": {"m": "order-7"}})),
                json!({}),
            ];
            events
                .iter()
                .map(|event| aws::notification(message, event))
                .collect()
        }
    }
}

#[tokio::test]
async fn reports_of_an_account_about_nobodys_message_are_taken_and_change_nothing() {
    for vendor in of_accounts() {
        let (stand, who) = (
            Stand::open(&vendor).await,
            format!("{} {}", vendor.kind, vendor.channel),
        );
        let id = stand.sent(&vendor, &super::recipient(&vendor, 1)).await;
        let message = stand.message(&vendor).await;
        let before = stand.table().await;
        for (n, report) in reports(&vendor, &message).into_iter().enumerate() {
            let answer = report.send(&stand.service).await;
            assert_eq!(answer.status, 200, "{who}, report {n}: {answer:?}");
        }
        assert_eq!(stand.table().await, before, "{who}");
        assert_eq!(
            (vendor.report)(&message).send(&stand.service).await.status,
            200,
            "{who}"
        );
        assert_eq!(
            stand.delivery(&id).await.0,
            "delivered",
            "{who}: ours is read as before"
        );
    }
}

#[tokio::test]
async fn a_message_that_is_none_of_ours_does_not_hold_up_ours_in_the_same_report() {
    let vendor = of_accounts()
        .into_iter()
        .find(|vendor| vendor.kind == "cm")
        .expect("CM.com");
    let stand = Stand::open(&vendor).await;
    let id = stand.sent(&vendor, &phone(1)).await;
    let message = stand.message(&vendor).await;
    let ours = parsed(&stand.desk.taken()[0])
        .pointer("/messages/msg/0/reference")
        .cloned()
        .unwrap_or_default();
    let status = json!({"code": "2", "errorCode": ""});
    let entries = json!([{"to": "00336", "status": status}, {"reference": "order-7"}, {"reference": ours, "status": status}]);
    let headers = vec![("content-type", "application/json".to_owned())];
    let report = Posted {
        method: "POST",
        url: message.url,
        headers,
        body: json!({"messages": {"msg": entries}}).to_string(),
    };
    assert_eq!(report.send(&stand.service).await.status, 200);
    assert_eq!(stand.delivery(&id).await.0, "delivered");
}
