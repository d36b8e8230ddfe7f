//! A vendor whose reports are lost is asked, once or twice within the code's life; one that reports of several messages
//! at once is heard out.

use serde_json::{Value, json};

use super::{CALLBACK_TOKEN, Desk, Posted, Stand, TO, lock, parsed, unsigned};

const TAKEN: &str =
    r#"{"success":true,"code":200,"message_id":307,"nb_sms":1,"cost":0.038,"currency":"EUR"}"#;
const WAITING: &str =
    r#"{"success":true,"code":200,"number":"+33612345678","messageId":"307","statut":"Waiting"}"#;
const DELIVERED: &str =
    r#"{"success":true,"code":200,"number":"+33612345678","messageId":"307","statut":"Delivered"}"#;
const UNDELIVERED: &str = r#"{"success":true,"code":200,"number":"+33612345678","messageId":"307","statut":"Not delivered"}"#;
const QUESTION: &str = "/v1/message-status?apiKey=0123456789abcdef0123456789abcdef01234567&messageId=307&phoneNumber=%2B33612345678";

/// A vendor that has taken a message to [`TO`] and says `word` from then on; the verification's id.
async fn asked(body: Value, word: &'static str) -> (Stand, String) {
    let vendor = unsigned::vendors().remove(0);
    assert_eq!(vendor.kind, "smspartner");
    let stand = Stand::open(&vendor).await;
    let sent = stand
        .service
        .call(
            "POST",
            "/v1/verifications",
            Some(crate::given::with(json!({"to": TO}), &body)),
        )
        .await;
    assert_eq!(sent.status, 201, "{sent:?}");
    stand.service.settle().await;
    say(&stand.desk, word);
    (stand, sent.id())
}

fn say(desk: &Desk, word: &'static str) {
    assert_eq!(lock(&desk.says).1, TAKEN, "the message was taken");
    *lock(&desk.says) = (200, word);
}

#[tokio::test]
async fn a_vendor_that_does_not_report_is_asked_twice_and_then_left_alone() {
    let (stand, id) = asked(json!({}), WAITING).await;
    stand.service.advance(19).await;
    assert!(stand.desk.fetched().is_empty(), "it has its time to report");
    stand.service.advance(2).await;
    assert_eq!(stand.desk.fetched(), [QUESTION]);
    stand.service.advance(30).await;
    assert_eq!(stand.desk.fetched(), [QUESTION, QUESTION]);
    assert_eq!(
        stand.delivery(&id).await,
        ("sent".into(), "smspartner".into())
    );
    stand.service.advance(400).await;
    assert_eq!(stand.desk.fetched().len(), 2, "never again");
    let state = stand.service.state().await;
    assert_eq!(
        (&state["queue"], &state["dead_letters"]),
        (&json!([]), &json!([])),
        "nothing is left to ask for"
    );
}

#[tokio::test]
async fn what_it_tells_is_the_state_and_ends_the_questions() {
    let (stand, id) = asked(json!({}), DELIVERED).await;
    stand.service.advance(25).await;
    assert_eq!(
        stand.delivery(&id).await,
        ("delivered".into(), "smspartner".into())
    );
    stand.service.advance(60).await;
    assert_eq!(stand.desk.fetched().len(), 1);
    let shown = stand.service.show(&id).await.body;
    assert!(
        !shown.to_string().contains("307"),
        "no name of the vendor's: {shown}"
    );
}

#[tokio::test]
async fn a_bad_end_that_is_asked_out_brings_the_fallback_channel_at_once() {
    let (stand, id) = asked(json!({"fallback": ["voice"]}), UNDELIVERED).await;
    stand.service.advance(25).await;
    let shown = stand.service.show(&id).await.body;
    let states: Vec<_> = shown["deliveries"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|d| (d["channel"].clone(), d["status"].clone()))
        .collect();
    assert_eq!(
        states,
        [
            (json!("sms"), json!("undelivered")),
            (json!("voice"), json!("sent"))
        ]
    );
    assert_eq!(stand.second.handed().len(), 1);
}

#[tokio::test]
async fn a_vendor_that_says_nothing_of_use_does_not_hold_up_the_fallback() {
    let (stand, id) = asked(json!({"fallback": ["voice"]}), "<html>Welcome</html>").await;
    stand.service.advance(61).await;
    assert_eq!(stand.desk.fetched().len(), 2);
    assert_eq!(stand.delivery(&id).await, ("sent".into(), "second".into()));
    assert_eq!(stand.second.handed().len(), 1, "once");
}

#[tokio::test]
async fn nobody_is_asked_about_a_code_that_was_typed_in() {
    let (stand, id) = asked(json!({}), WAITING).await;
    let text = parsed(&stand.desk.taken()[0])["message"]
        .as_str()
        .map(super::code)
        .unwrap_or_default();
    assert_eq!(stand.service.check(&id, &text).await.body["valid"], true);
    stand.service.advance(120).await;
    assert!(stand.desk.fetched().is_empty());
}

#[tokio::test]
async fn a_report_of_several_messages_moves_each_of_them() {
    let vendor = unsigned::vendors()
        .into_iter()
        .find(|vendor| vendor.kind == "cm")
        .expect("CM.com");
    let stand = Stand::open(&vendor).await;
    let mut ids = vec![];
    for n in 1..=3 {
        ids.push(stand.sent(&vendor, &crate::given::phone(n)).await);
    }
    let reference = |n: usize| {
        parsed(&stand.desk.taken()[n])
            .pointer("/messages/msg/0/reference")
            .cloned()
            .unwrap_or_default()
    };
    let entry = |reference: Value, code: &str| json!({"to": "00336", "reference": reference, "status": {"code": code, "errorCode": ""}});
    let entries = json!([
        entry(reference(0), "2"),
        entry(json!("nobody"), "2"),
        json!(7),
        entry(reference(1), "3"),
        entry(reference(2), "2")
    ]);
    let url = format!("{}/v1/callbacks/cm/{CALLBACK_TOKEN}", stand.service.base);
    let headers = vec![("content-type", "application/json".to_owned())];
    let report = Posted {
        method: "POST",
        url,
        headers,
        body: json!({"messages": {"msg": entries}}).to_string(),
    };
    assert_eq!(report.send(&stand.service).await.status, 200);
    let mut states = vec![];
    for id in &ids {
        states.push(stand.delivery(id).await.0);
    }
    assert_eq!(states, ["delivered", "undelivered", "delivered"]);
}
