//! One line, one recipient: numbering plans that write one line in two ways.

use serde_json::{Value, json};

use crate::support::{
    NO_SEND_LIMITS, Service, assert_fields, assert_problem, assert_rejected, assert_status,
};

/// Spellings of one line each: the canonical number, then others, with a country where national.
fn lines() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        (
            "+5491169071234",
            vec![
                json!({"to": "+5491169071234"}),
                json!({"to": "+541169071234"}),
                json!({"to": "+54 11 6907 1234"}),
                json!({"to": "11 6907 1234", "country": "AR"}),
                json!({"to": "011 15 6907-1234", "country": "ar"}),
            ],
        ),
        (
            "+5493513116713",
            vec![
                json!({"to": "+543513116713"}),
                json!({"to": "+5493513116713"}),
            ],
        ),
        (
            "+525512345678",
            vec![
                json!({"to": "+5215512345678"}),
                json!({"to": "+525512345678"}),
                json!({"to": "1 55 1234 5678", "country": "MX"}),
                json!({"to": "55 1234 5678", "country": "MX"}),
            ],
        ),
        (
            "+2416031234",
            vec![
                json!({"to": "+24106031234"}),
                json!({"to": "+2416031234"}),
                json!({"to": "06 03 12 34", "country": "GA"}),
            ],
        ),
        (
            "+2290197123456",
            vec![
                json!({"to": "+22997123456"}),
                json!({"to": "+2290197123456"}),
            ],
        ),
    ]
}

#[tokio::test]
async fn texts_go_to_the_canonical_number_of_a_line() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    for (canonical, bodies) in lines() {
        let count = bodies.len();
        for body in bodies {
            let sent = service.send_body(body.clone()).await;
            assert_eq!(sent.status, 201, "{body}: {sent:?}");
            assert_eq!(sent.body["to"], canonical, "{body}");
            // The next send supersedes this verification, whose message must be sent before.
            service.settle().await;
        }
        let messages = service.messages(canonical).await;
        assert_eq!(messages.len(), count, "{canonical}: {messages:?}");
    }
}

#[tokio::test]
async fn all_spellings_of_a_line_share_every_limit() {
    let service = Service::start().await;
    for (canonical, bodies) in lines() {
        let sent = service.send_body(bodies[0].clone()).await;
        assert_status(&sent, 201);
        for body in &bodies {
            assert_rejected(&service.send_body(body.clone()).await, "cooldown");
        }
        for body in &bodies {
            for path in ["/v1/recipients/unlock", "/v1/recipients/forget"] {
                let done = service.call("POST", path, Some(body.clone())).await;
                assert_status(&done, 200);
                assert_fields(&done.body, json!({"to": canonical}));
            }
        }
        assert_status(&service.show(&sent.id()).await, 404);
    }
}

#[tokio::test]
async fn guess_budget_counts_all_spellings_of_a_line() {
    let service = Service::start_with(&[("OTP_GUESS_BUDGET", "5"), NO_SEND_LIMITS[0]]).await;
    let first = service.send("+541169071234").await;
    let code = service.code("+5491169071234").await;
    service.fail_checks(&first.id(), &code, 5).await;
    for to in ["+5491169071234", "+541169071234"] {
        assert_rejected(&service.send(to).await, "guess_budget");
    }
}

#[tokio::test]
async fn call_goes_to_the_argentine_number_as_written() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    for (to, called) in [
        ("+541169071234", "+541169071234"),
        ("+5491169071234", "+5491169071234"),
    ] {
        let sent = service
            .send_body(json!({"to": to, "channel": "voice"}))
            .await;
        assert_status(&sent, 201);
        assert_fields(&sent.body, json!({"to": called}));
        let code = service.code_of(called, &sent.id()).await;
        let checked = service.check(&sent.id(), &code).await;
        assert!(checked.is_valid());
        assert_fields(&checked.body, json!({"to": called}));
    }
    let text = service.send("+541169071234").await;
    assert_fields(&text.body, json!({"to": "+5491169071234"}));
    let again = service
        .resend_body(&text.id(), json!({"channel": "voice"}))
        .await;
    assert_status(&again, 200);
    let calls = service.messages("+541169071234").await;
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(calls.iter().all(|call| call["channel"] == "voice"));
}

#[tokio::test]
async fn blocked_prefix_covers_both_spellings_of_a_line() {
    for prefix in ["+5411", "+54911"] {
        let service = Service::start_with(&[("OTP_BLOCKED_PREFIXES", prefix)]).await;
        let sent = service.send("+541169071234").await;
        assert_problem(&sent, 403, "number_not_allowed");
    }
}
