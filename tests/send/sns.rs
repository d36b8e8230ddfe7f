//! `OTP_DISPATCH=sns`: the send function itself publishes, and answers with what came of it.

use serde_json::json;

use crate::given::{phone, seconds};
use crate::harness::Service;
use crate::wire::{BROKEN, Fault, Wired};

async fn start() -> Service {
    Service::start_with(&[("OTP_DISPATCH", "sns")]).await
}

#[tokio::test]
async fn a_message_is_on_the_phone_with_the_answer() {
    let service = start().await;
    let to = phone(1);
    let sent = service.send(&to).await;
    assert_eq!(
        (
            sent.status,
            &sent.body["delivery"]["status"],
            &sent.body["delivery"]["carrier"]
        ),
        (201, &json!("sent"), &json!("sns"))
    );
    let messages = service.messages_now(&to).await;
    assert_eq!(
        (
            messages.len(),
            &messages[0]["carrier"],
            &messages[0]["channel"]
        ),
        (1, &json!("sns"), &json!("sms"))
    );
    let text = messages[0]["text"].as_str().unwrap_or_default();
    let code: String = text
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    assert_eq!(service.check(&sent.id(), &code).await.outcome().0, true);
    assert_eq!(
        service.state().await["queue"],
        json!([]),
        "nothing was left for a worker"
    );
    assert_eq!(service.messages(&to).await.len(), 1);
}

#[tokio::test]
async fn a_resend_is_published_as_well() {
    let service = start().await;
    let to = phone(1);
    let id = service.send(&to).await.id();
    service.advance(30).await;
    let resent = service.resend(&id).await;
    assert_eq!(
        (resent.status, &resent.body["delivery"]["status"]),
        (200, &json!("sent"))
    );
    let texts: Vec<_> = service
        .messages(&to)
        .await
        .iter()
        .map(|m| m["text"].as_str().map(|text| text[..6].to_owned()))
        .collect();
    assert_eq!((texts.len(), &texts[0]), (2, &texts[1]), "the same code");
}

#[tokio::test]
async fn a_permanent_refusal_is_a_rejected_delivery() {
    let service = start().await;
    service.carrier("sns", json!({"mode": "reject"})).await;
    let sent = service.send(&phone(1)).await;
    assert_eq!(
        (
            sent.status,
            &sent.body["delivery"]["status"],
            &sent.body["status"]
        ),
        (201, &json!("rejected"), &json!("pending"))
    );
    assert_eq!(service.messages(&phone(1)).await.len(), 0);
    let until = seconds(&sent.body["created_at"]) + 30;
    service
        .refuses("cooldown", until, async || service.send(&phone(1)).await)
        .await;
}

#[tokio::test]
async fn a_failure_of_sns_is_told_and_charges_nothing() {
    for mode in ["error", "throttle"] {
        let service = start().await;
        let to = phone(1);
        service.carrier("sns", json!({"mode": mode})).await;
        let refused = service.send_with_key(json!({"to": to}), "k").await;
        assert_eq!(refused.problem(), (503, "unavailable"), "{mode}");
        service.carrier("sns", json!({"mode": "ok"})).await;
        let sent = service
            .send_with_key(json!({"to": to, "purpose": "other"}), "k")
            .await;
        assert_eq!(
            (sent.status, sent.is_replayed(), &sent.body["sends_left"]),
            (201, false, &json!(4)),
            "{mode}: {sent:?}"
        );
        assert_eq!(service.messages(&to).await.len(), 1);
    }
}

#[tokio::test]
async fn a_failed_resend_leaves_the_verification_as_it_was() {
    let service = start().await;
    let to = phone(1);
    let id = service.send(&to).await.id();
    let wrong = service.check(&id, "0000000").await;
    assert_eq!(wrong.outcome().1, "wrong_code");
    service.advance(30).await;
    service.carrier("sns", json!({"mode": "error"})).await;
    assert_eq!(service.resend(&id).await.problem(), (503, "unavailable"));
    let shown = service.show(&id).await;
    assert_eq!(
        (
            &shown.body["status"],
            &shown.body["attempts_left"],
            &shown.body["sends_left"]
        ),
        (&json!("pending"), &json!(4), &json!(4))
    );
    service.carrier("sns", json!({"mode": "ok"})).await;
    assert_eq!(service.resend(&id).await.status, 200);
}

#[tokio::test]
async fn a_channel_that_no_carrier_serves_is_not_configured() {
    let service = start().await;
    for channel in ["voice", "whatsapp"] {
        let answer = service
            .send_body(json!({"to": phone(1), "channel": channel}))
            .await;
        assert_eq!(
            answer.problem(),
            (422, "channel_not_configured"),
            "{channel}"
        );
    }
    let email = service
        .send_body(json!({"to": "ada@example.com", "channel": "email"}))
        .await;
    assert_eq!(email.problem(), (422, "channel_not_configured"));
    let id = service.send(&phone(1)).await.id();
    service.advance(30).await;
    assert_eq!(
        service
            .resend_body(&id, json!({"channel": "voice"}))
            .await
            .problem(),
        (422, "channel_not_configured")
    );
}

/// A send whose function dies before it asks SNS.
async fn dies_before_sns(wired: &Wired, to: &str) {
    // It looks twice: for its key, and whether the message is still wanted.
    let mut reads = 0;
    wired.table.break_by(move |call| {
        reads += usize::from(call.operation == "GetItem");
        (call.operation == "GetItem" && reads == 2).then_some(Fault::Freeze)
    });
    let (service, body) = (wired.service.clone(), json!({"to": to}));
    let call = tokio::spawn(async move { service.send_with_key(body, "k").await });
    wired.table.frozen().await;
    call.abort();
    assert!(call.await.is_err_and(|error| error.is_cancelled()));
    wired.mend();
}

#[tokio::test]
async fn a_twin_of_a_call_that_is_publishing_is_told_so() {
    let wired = Wired::start(&[("OTP_DISPATCH", "sns")]).await;
    dies_before_sns(&wired, &phone(1)).await;
    let twin = wired
        .service
        .send_with_key(json!({"to": phone(1)}), "k")
        .await;
    assert_eq!(
        twin.problem(),
        (409, "in_progress"),
        "nobody learns an id that may be taken back"
    );
    assert_eq!(wired.service.messages(&phone(1)).await.len(), 0);
}

#[tokio::test]
async fn what_a_dead_call_left_is_published_by_its_repetition_once() {
    let wired = Wired::start(&[("OTP_DISPATCH", "sns")]).await;
    let (service, to) = (&wired.service, phone(1));
    dies_before_sns(&wired, &to).await;
    service.advance(16).await;
    let again = service.send_with_key(json!({"to": to}), "k").await;
    assert_eq!(
        (
            again.status,
            again.is_replayed(),
            &again.body["delivery"]["status"]
        ),
        (201, true, &json!("sent")),
        "{again:?}"
    );
    let third = service.send_with_key(json!({"to": to}), "k").await;
    assert_eq!(
        (third.status, third.is_replayed(), third.id()),
        (201, true, again.id())
    );
    assert_eq!(service.messages(&to).await.len(), 1);
    assert_eq!(
        service
            .check(&again.id(), &service.code(&to).await)
            .await
            .outcome()
            .0,
        true
    );
}

#[tokio::test]
async fn a_table_that_fails_before_the_message_goes_charges_nothing() {
    let wired = Wired::start(&[("OTP_DISPATCH", "sns"), ("OTP_PREFIX_SENDS", "1/600")]).await;
    let (service, to) = (&wired.service, "+12025550143");
    wired.table.break_next("GetItem", BROKEN);
    assert_eq!(service.send(to).await.problem(), (503, "unavailable"));
    wired.mend();
    let sent = service.send(to).await;
    assert_eq!(
        (
            sent.status,
            &sent.body["sends_left"],
            &sent.body["delivery"]["status"]
        ),
        (201, &json!(4), &json!("sent")),
        "{sent:?}"
    );
    assert_eq!(service.messages(to).await.len(), 1);
}

#[tokio::test]
async fn a_message_that_went_is_told_whatever_the_table_says_then() {
    let wired = Wired::start(&[("OTP_DISPATCH", "sns")]).await;
    let (service, to) = (&wired.service, phone(1));
    wired.table.break_by(|call| {
        call.body["UpdateExpression"]
            .as_str()
            .is_some_and(|e| e.contains("seq = :next"))
            .then_some(BROKEN)
    });
    let sent = service.send(&to).await;
    assert_eq!(
        (sent.status, &sent.body["delivery"]["status"]),
        (201, &json!("sent")),
        "{sent:?}"
    );
    wired.mend();
    assert_eq!(
        service
            .check(&sent.id(), &service.code(&to).await)
            .await
            .outcome()
            .0,
        true
    );
}

#[tokio::test]
async fn a_message_that_another_send_overlaps_is_told_as_what_it_was() {
    let wired = Wired::start(&[("OTP_DISPATCH", "sns"), ("OTP_COOLDOWN_SECONDS", "0")]).await;
    let (service, to) = (wired.service.clone(), phone(1));
    let mut ends = 0;
    // The first is with SNS when the second is written: its own outcome comes late.
    wired.table.break_by(move |call| {
        let is_end = call.body["UpdateExpression"]
            .as_str()
            .is_some_and(|e| e.contains("seq = :next"));
        ends += usize::from(is_end);
        (is_end && ends <= 2).then_some(Fault::Freeze)
    });
    let first = tokio::spawn({
        let (service, to) = (service.clone(), to.clone());
        async move { service.send(&to).await }
    });
    wired.table.frozen().await;
    let second = service.send(&to).await;
    assert_eq!(
        (second.status, &second.body["delivery"]["status"]),
        (201, &json!("sent")),
        "{second:?}"
    );
    let first = first.await.expect("an answer");
    assert_eq!(
        (
            first.status,
            &first.body["status"],
            &first.body["delivery"]["status"]
        ),
        (201, &json!("superseded"), &json!("sent")),
        "{first:?}"
    );
    let shown = service.show(&first.id()).await;
    assert_eq!(shown.body["delivery"]["status"], "sent");
    let ids: Vec<_> = service
        .messages(&to)
        .await
        .iter()
        .map(|m| m["verification_id"].clone())
        .collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
}

#[tokio::test]
async fn a_message_that_was_overtaken_before_it_went_stays_at_home() {
    let wired = Wired::start(&[("OTP_DISPATCH", "sns"), ("OTP_COOLDOWN_SECONDS", "0")]).await;
    let (service, to) = (wired.service.clone(), phone(1));
    let mut reads = 0;
    wired.table.break_by(move |call| {
        reads += usize::from(call.operation == "GetItem");
        (call.operation == "GetItem" && reads <= 2).then_some(Fault::Freeze)
    });
    let first = tokio::spawn({
        let (service, to) = (service.clone(), to.clone());
        async move { service.send(&to).await }
    });
    wired.table.frozen().await;
    let second = service.send(&to).await;
    assert_eq!(second.status, 201);
    let first = first.await.expect("an answer");
    assert_eq!(
        (
            first.status,
            &first.body["status"],
            &first.body["delivery"]["status"]
        ),
        (201, &json!("superseded"), &json!("failed")),
        "{first:?}"
    );
    let messages = service.messages(&to).await;
    assert_eq!(
        (messages.len(), messages[0]["verification_id"].as_str()),
        (1, Some(second.id().as_str()))
    );
}
