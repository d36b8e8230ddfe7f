//! A create while a verification is pending: it continues it, or opens a new one.

use crate::support::twilio::{assert_checked, assert_error, native_id, sid};
use crate::support::{
    NO_SEND_LIMITS, SHOP_KEY, TO, Twilio, another_code, assert_problem, assert_status,
    no_send_limits_and, unix_seconds,
};
use serde_json::json;

#[tokio::test]
async fn create_continues_the_pending_verification() {
    let twilio = Twilio::start(&NO_SEND_LIMITS).await;
    let (first, code) = twilio.open(TO).await;
    let id = native_id(&first);
    let expires_at = twilio.service.show(&id).await.body["expires_at"].clone();
    twilio.service.advance(100).await;
    let again = twilio.create_with(TO, &[("Channel", "call")]).await;
    assert_status(&again, 201);
    assert_eq!(
        (sid(&again), &again.body["channel"]),
        (first.clone(), &json!("call"))
    );
    let times = ["date_created", "date_updated"].map(|name| unix_seconds(&again.body[name]));
    assert!((100..110).contains(&(times[1] - times[0])), "{again:?}");
    let attempts = again.body["send_code_attempts"].as_array().expect("a list");
    let channels: Vec<_> = attempts.iter().map(|attempt| &attempt["channel"]).collect();
    assert_eq!(channels, ["sms", "call"]);
    assert_ne!(attempts[0]["attempt_sid"], attempts[1]["attempt_sid"]);
    assert_eq!(twilio.service.code(TO).await, code);
    let shown = twilio.service.show(&id).await;
    assert_eq!(shown.body["expires_at"], expires_at, "never a later expiry");
    let fetched = twilio.fetch(&first).await;
    assert_eq!(
        fetched.body["send_code_attempts"],
        again.body["send_code_attempts"]
    );
}

#[tokio::test]
async fn fresh_code_replaces_that_of_a_continued_one() {
    let fresh = no_send_limits_and(&[("OTP_RESEND_CODE", "fresh")]);
    let twilio = Twilio::start(&fresh).await;
    let (first, code) = twilio.open(TO).await;
    let (again, new_code) = twilio.open(TO).await;
    assert_eq!(again, first);
    if new_code != code {
        assert_checked(&twilio.check(TO, &code).await, "pending", false);
    }
    assert_checked(&twilio.check(TO, &new_code).await, "approved", true);
}

#[tokio::test]
async fn create_within_the_cooldown_sends_nothing() {
    let twilio = Twilio::start(&[]).await;
    let (first, code) = twilio.open(TO).await;
    twilio.service.advance(10).await;
    let rejected = twilio.create(TO).await;
    assert_error(&rejected, 429, 20429, "rate_limited");
    let details = &rejected.body["details"];
    assert_eq!(details["limit"], "cooldown");
    assert!((15..=20).contains(&details["retry_after"].as_i64().expect("seconds")));
    let header = rejected.header("ratelimit").expect("RateLimit");
    assert!(header.starts_with("\"cooldown\";r=0;t="), "{header}");
    assert_eq!(twilio.service.messages(TO).await.len(), 1);
    twilio
        .service
        .advance(details["retry_after"].as_i64().expect("seconds"))
        .await;
    let (again, same) = twilio.open(TO).await;
    assert_eq!((again, same), (first, code));
}

#[tokio::test]
async fn another_payment_or_purpose_opens_a_new_verification() {
    let twilio = Twilio::start(&NO_SEND_LIMITS).await;
    let payment = |amount| [("Amount", amount), ("Payee", "Shop")];
    let plain = sid(&twilio.create(TO).await);
    let paid = sid(&twilio.create_with(TO, &payment("€1")).await);
    assert_ne!(paid, plain);
    assert_eq!(sid(&twilio.create_with(TO, &payment("€1")).await), paid);
    let other = sid(&twilio.create_with(TO, &payment("€2")).await);
    assert_ne!(other, paid);
    let superseded = twilio.fetch(&paid).await;
    assert_error(&superseded, 404, 20404, "not_found");
    assert_eq!(superseded.body["details"]["status"], "superseded");
    let native = twilio
        .service
        .send_body(json!({"to": TO, "purpose": "signup"}))
        .await
        .id();
    let created = sid(&twilio.create(TO).await);
    assert_ne!(native_id(&created), native);
    let shown = twilio.service.show(&native).await;
    assert_eq!(shown.body["status"], "superseded");
}

#[tokio::test]
async fn verification_about_to_expire_is_not_continued() {
    let twilio = Twilio::start(&NO_SEND_LIMITS).await;
    let (first, _) = twilio.open(TO).await;
    twilio.service.advance(285).await;
    assert_eq!(
        sid(&twilio.create(TO).await),
        first,
        "15 seconds are enough"
    );
    twilio.service.advance(8).await;
    assert_ne!(sid(&twilio.create(TO).await), first);
}

#[tokio::test]
async fn create_after_any_end_opens_a_new_one() {
    let twilio = Twilio::start(&NO_SEND_LIMITS).await;
    let (approved, code) = twilio.open(TO).await;
    assert_checked(&twilio.check(TO, &code).await, "approved", true);
    let (canceled, _) = twilio.open(TO).await;
    assert_status(&twilio.update(&canceled, "canceled").await, 200);
    let (exhausted, code) = twilio.open(TO).await;
    for _ in 0..5 {
        assert_checked(
            &twilio.check(TO, &another_code(&code)).await,
            "pending",
            false,
        );
    }
    let (new, code) = twilio.open(TO).await;
    let all = [approved, canceled, exhausted.clone(), new.clone()];
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), 4);
    let old = twilio.check_sid(&exhausted, &code).await;
    assert_error(&old, 429, 60202, "not_pending");
    let old = twilio.fetch(&exhausted).await;
    assert_eq!(old.body["status"], "max_attempts_reached");
    assert_checked(&twilio.check_sid(&new, &code).await, "approved", true);
}

#[tokio::test]
async fn continued_verification_is_of_its_own_app() {
    let twilio = Twilio::start(&NO_SEND_LIMITS).await;
    let shop = Twilio::of(&twilio.service, SHOP_KEY).await;
    assert_ne!(
        (&shop.account_sid, &shop.service_sid),
        (&twilio.account_sid, &twilio.service_sid)
    );
    let (first, code) = twilio.open(TO).await;
    let second = sid(&shop.create(TO).await);
    assert_ne!(second, first);
    assert_error(&shop.fetch(&first).await, 404, 20404, "not_found");
    assert_error(
        &shop.check_sid(&first, &code).await,
        404,
        20404,
        "not_found",
    );
    assert_problem(
        &shop
            .service
            .call_as(
                &shop.key,
                "GET",
                &format!("/v1/verifications/{}", native_id(&first)),
                None,
                &[],
            )
            .await,
        404,
        "not_found",
    );
    assert_checked(&twilio.check_sid(&first, &code).await, "approved", true);
}
