//! `OTP_DISPATCH=sns`: the send function publishes the message itself, and its response has the
//! result.

use serde_json::json;

use crate::support::{
    BROKEN, Fault, ProxiedService, Service, assert_fields, assert_problem, assert_replays_send,
    assert_status, phone, unix_seconds,
};

async fn start() -> Service {
    Service::start_with(&[("OTP_DISPATCH", "sns")]).await
}

#[tokio::test]
async fn message_is_published_before_the_response() {
    let service = start().await;
    let to = phone(1);
    let sent = service.send(&to).await;
    assert_status(&sent, 201);
    assert_fields(
        &sent.body,
        json!({"delivery": {"status": "sent", "carrier": "sns"}}),
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
    assert!(service.check(&sent.id(), &code).await.is_valid());
    assert_eq!(
        service.state().await["queue"],
        json!([]),
        "nothing is enqueued for the worker"
    );
    assert_eq!(service.messages(&to).await.len(), 1);
}

#[tokio::test]
async fn resend_is_published() {
    let service = start().await;
    let to = phone(1);
    let id = service.send(&to).await.id();
    service.advance(30).await;
    let resent = service.resend(&id).await;
    assert_status(&resent, 200);
    assert_fields(&resent.body, json!({"delivery": {"status": "sent"}}));
    let texts: Vec<_> = service
        .messages(&to)
        .await
        .iter()
        .map(|m| m["text"].as_str().map(|text| text[..6].to_owned()))
        .collect();
    assert_eq!((texts.len(), &texts[0]), (2, &texts[1]), "the same code");
}

#[tokio::test]
async fn permanent_sns_error_is_a_rejected_delivery() {
    let service = start().await;
    service.set_carrier("sns", json!({"mode": "reject"})).await;
    let sent = service.send(&phone(1)).await;
    assert_status(&sent, 201);
    assert_fields(
        &sent.body,
        json!({"delivery": {"status": "rejected"}, "status": "pending"}),
    );
    assert_eq!(service.messages(&phone(1)).await.len(), 0);
    let until = unix_seconds(&sent.body["created_at"]) + 30;
    service
        .assert_rejects("cooldown", until, async || service.send(&phone(1)).await)
        .await;
}

#[tokio::test]
async fn failed_publish_gets_503_and_is_not_counted() {
    for mode in ["error", "throttle"] {
        let service = start().await;
        let to = phone(1);
        service.set_carrier("sns", json!({"mode": mode})).await;
        let failed = service.send_with_key(json!({"to": to}), "k").await;
        assert_eq!(failed.problem(), (503, "unavailable"), "{mode}");
        service.set_carrier("sns", json!({"mode": "ok"})).await;
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
async fn failed_resend_leaves_the_verification_unchanged() {
    let service = start().await;
    let to = phone(1);
    let id = service.send(&to).await.id();
    let wrong = service.check(&id, "0000000").await;
    assert_eq!(wrong.check_result().reason, "wrong_code");
    service.advance(30).await;
    service.set_carrier("sns", json!({"mode": "error"})).await;
    assert_problem(&service.resend(&id).await, 503, "unavailable");
    let shown = service.show(&id).await;
    assert_fields(
        &shown.body,
        json!({"status": "pending", "attempts_left": 4, "sends_left": 4}),
    );
    service.set_carrier("sns", json!({"mode": "ok"})).await;
    assert_status(&service.resend(&id).await, 200);
}

#[tokio::test]
async fn other_channels_are_not_configured() {
    let service = start().await;
    for channel in ["voice", "whatsapp"] {
        let response = service
            .send_body(json!({"to": phone(1), "channel": channel}))
            .await;
        assert_eq!(
            response.problem(),
            (422, "channel_not_configured"),
            "{channel}"
        );
    }
    let email = service
        .send_body(json!({"to": "ada@example.com", "channel": "email"}))
        .await;
    assert_problem(&email, 422, "channel_not_configured");
    let id = service.send(&phone(1)).await.id();
    service.advance(30).await;
    assert_problem(
        &service.resend_body(&id, json!({"channel": "voice"})).await,
        422,
        "channel_not_configured",
    );
}

/// A send whose function crashes before it publishes.
async fn crash_before_publishing(proxied: &ProxiedService, to: &str) {
    proxied
        .table
        .break_by(|call| call.claims_step().then_some(Fault::HoldResponse));
    let (service, body) = (proxied.service.clone(), json!({"to": to}));
    let call = tokio::spawn(async move { service.send_with_key(body, "k").await });
    proxied.table.wait_for_held_call().await;
    call.abort();
    assert!(call.await.is_err_and(|error| error.is_cancelled()));
    proxied.clear_faults();
}

#[tokio::test]
async fn repeated_send_during_publishing_is_in_progress() {
    let proxied = ProxiedService::start(&[("OTP_DISPATCH", "sns")]).await;
    crash_before_publishing(&proxied, &phone(1)).await;
    let repeated = proxied
        .service
        .send_with_key(json!({"to": phone(1)}), "k")
        .await;
    // The response has no id, because the first send may be rolled back.
    assert_problem(&repeated, 409, "in_progress");
    assert_eq!(proxied.service.messages(&phone(1)).await.len(), 0);
}

#[tokio::test]
async fn repeated_send_after_crash_publishes_once() {
    let proxied = ProxiedService::start(&[("OTP_DISPATCH", "sns")]).await;
    let (service, to) = (&proxied.service, phone(1));
    crash_before_publishing(&proxied, &to).await;
    service.advance(16).await;
    let again = service.send_with_key(json!({"to": to}), "k").await;
    assert_status(&again, 201);
    assert_fields(&again.body, json!({"delivery": {"status": "sent"}}));
    assert!(again.is_replayed(), "{again:?}");
    let third = service.send_with_key(json!({"to": to}), "k").await;
    assert_replays_send(&third, &again.id());
    assert_eq!(service.messages(&to).await.len(), 1);
    assert!(
        service
            .check(&again.id(), &service.code(&to).await)
            .await
            .is_valid()
    );
}

#[tokio::test]
async fn table_error_before_publishing_counts_no_send() {
    let proxied =
        ProxiedService::start(&[("OTP_DISPATCH", "sns"), ("OTP_PREFIX_SENDS", "1/600")]).await;
    let (service, to) = (&proxied.service, "+12025550143");
    proxied.table.break_next("GetItem", BROKEN);
    assert_problem(&service.send(to).await, 503, "unavailable");
    proxied.clear_faults();
    let sent = service.send(to).await;
    assert_status(&sent, 201);
    assert_fields(
        &sent.body,
        json!({"sends_left": 4, "delivery": {"status": "sent"}}),
    );
    assert_eq!(service.messages(to).await.len(), 1);
}

#[tokio::test]
async fn published_message_is_reported_despite_a_table_error() {
    let proxied = ProxiedService::start(&[("OTP_DISPATCH", "sns")]).await;
    let (service, to) = (&proxied.service, phone(1));
    proxied
        .table
        .break_by(|call| call.ends_step().then_some(BROKEN));
    let sent = service.send(&to).await;
    assert_status(&sent, 201);
    assert_fields(&sent.body, json!({"delivery": {"status": "sent"}}));
    proxied.clear_faults();
    assert!(
        service
            .check(&sent.id(), &service.code(&to).await)
            .await
            .is_valid()
    );
}

#[tokio::test]
async fn superseded_message_in_flight_is_reported_as_sent() {
    let proxied =
        ProxiedService::start(&[("OTP_DISPATCH", "sns"), ("OTP_COOLDOWN_SECONDS", "0")]).await;
    let (service, to) = (proxied.service.clone(), phone(1));
    let mut ends = 0;
    // SNS has the first message when the second send is stored; the result of the first one is
    // stored late.
    proxied.table.break_by(move |call| {
        let is_end = call.ends_step();
        ends += usize::from(is_end);
        (is_end && ends <= 2).then_some(Fault::Freeze)
    });
    let first = tokio::spawn({
        let (service, to) = (service.clone(), to.clone());
        async move { service.send(&to).await }
    });
    proxied.table.wait_for_held_call().await;
    let second = service.send(&to).await;
    assert_status(&second, 201);
    assert_fields(&second.body, json!({"delivery": {"status": "sent"}}));
    let first = first.await.expect("a response");
    assert_status(&first, 201);
    assert_fields(
        &first.body,
        json!({"status": "superseded", "delivery": {"status": "sent"}}),
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
async fn superseded_message_is_not_published() {
    let proxied =
        ProxiedService::start(&[("OTP_DISPATCH", "sns"), ("OTP_COOLDOWN_SECONDS", "0")]).await;
    let (service, to) = (proxied.service.clone(), phone(1));
    let mut claims = 0;
    proxied.table.break_by(move |call| {
        let is_claim = call.claims_step();
        claims += usize::from(is_claim);
        (is_claim && claims <= 2).then_some(Fault::Freeze)
    });
    let first = tokio::spawn({
        let (service, to) = (service.clone(), to.clone());
        async move { service.send(&to).await }
    });
    proxied.table.wait_for_held_call().await;
    let second = service.send(&to).await;
    assert_status(&second, 201);
    let first = first.await.expect("a response");
    assert_status(&first, 201);
    assert_fields(
        &first.body,
        json!({"status": "superseded", "delivery": {"status": "failed"}}),
    );
    let messages = service.messages(&to).await;
    assert_eq!(
        (messages.len(), messages[0]["verification_id"].as_str()),
        (1, Some(second.id().as_str()))
    );
}
