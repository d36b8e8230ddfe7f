//! The verify function: outcomes of a check in every state, what a check costs, binding, spellings, cancel, show.

mod idempotency;

use serde_json::{Value, json};

use crate::given::{NO_SEND_LIMITS, UNKNOWN_ID, phone, seconds, with};
use crate::harness::{Answer, DEFAULT_KEY, SHOP_KEY, Service, other_than};

fn transaction() -> Value {
    json!({"amount": "49.90", "currency": "EUR", "payee": "Example Books"})
}

#[tokio::test]
async fn a_right_code_is_valid_once_and_then_already_used() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(1)).await;
    let right = service.check(&id, &code).await;
    let expected = json!({"id": id, "valid": true, "status": "approved", "attempts_left": 4, "reason": null,
        "purpose": "default", "channel": "sms", "to": phone(1)});
    assert_eq!((right.status, &right.body), (200, &expected));
    for again in [code.clone(), other_than(&code)] {
        let answer = service.check(&id, &again).await;
        assert_eq!(answer.outcome(), (false, "already_used", "approved", 4));
    }
    let shown = service.show(&id).await;
    assert_eq!(
        (
            &shown.body["status"],
            &shown.body["resend_at"],
            &shown.body["attempts_left"]
        ),
        (&json!("approved"), &json!(null), &json!(4))
    );
}

#[tokio::test]
async fn every_wrong_code_costs_one_and_the_last_one_exhausts() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(1)).await;
    let wrong = service.wrong_code(&phone(1)).await;
    for left in [4, 3, 2, 1] {
        assert_eq!(
            service.check(&id, &wrong).await.outcome(),
            (false, "wrong_code", "pending", left)
        );
        assert_eq!(service.show(&id).await.body["attempts_left"], left);
    }
    assert_eq!(
        service.check(&id, &wrong).await.outcome(),
        (false, "wrong_code", "exhausted", 0)
    );
    for next in [&wrong, &code] {
        assert_eq!(
            service.check(&id, next).await.outcome(),
            (false, "exhausted", "exhausted", 0)
        );
    }
    let shown = service.show(&id).await;
    assert_eq!(
        (&shown.body["status"], &shown.body["resend_at"]),
        (&json!("exhausted"), &json!(null))
    );
}

#[tokio::test]
async fn the_last_attempt_may_be_the_right_one() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(1)).await;
    service.fail(&id, &code, 4).await;
    assert_eq!(
        service.check(&id, &code).await.outcome(),
        (true, "", "approved", 0)
    );
}

#[tokio::test]
async fn the_number_of_attempts_is_the_policys() {
    for (k, name) in [(1, "1"), (10, "10")] {
        let service = Service::start_with(&[("OTP_MAX_ATTEMPTS", name)]).await;
        let (id, code) = service.sent(&phone(1)).await;
        assert_eq!(service.show(&id).await.body["attempts_left"], k);
        let last = service.fail(&id, &code, k).await;
        assert_eq!(
            last.as_ref().map(Answer::outcome),
            Some((false, "wrong_code", "exhausted", 0))
        );
        assert_eq!(service.check(&id, &code).await.outcome().1, "exhausted");
    }
}

#[tokio::test]
async fn a_code_lives_up_to_the_second_before_its_end() {
    let service = Service::start().await;
    for (n, ttl) in [(1, 60), (2, 300)] {
        let (before, after) = (phone(n), phone(n + 10));
        let mut sent = vec![];
        for to in [&before, &after] {
            let answer = service
                .send_body(json!({"to": to, "ttl_seconds": ttl}))
                .await;
            sent.push((
                answer.id(),
                service.code(to).await,
                seconds(&answer.body["expires_at"]),
            ));
        }
        service.advance_to(sent[0].2 - 1).await;
        let last_moment = service.check(&sent[0].0, &sent[0].1).await;
        // Real time goes on beside the clock: only an answer that came in time says something.
        if service.now().await < sent[0].2 {
            assert_eq!(last_moment.outcome().0, true, "{last_moment:?}");
        }
        service.advance_to(sent[1].2).await;
        assert_eq!(
            service.check(&sent[1].0, &sent[1].1).await.outcome(),
            (false, "expired", "expired", 5)
        );
        let shown = service.show(&sent[1].0).await;
        assert_eq!(
            (&shown.body["status"], &shown.body["resend_at"]),
            (&json!("expired"), &json!(null))
        );
    }
}

#[tokio::test]
async fn a_resend_does_not_move_the_end() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let sent = service
        .send_body(json!({"to": phone(1), "ttl_seconds": 60}))
        .await;
    service.advance(40).await;
    assert_eq!(service.resend(&sent.id()).await.status, 200);
    let code = service.code(&phone(1)).await;
    service.advance_to(seconds(&sent.body["expires_at"])).await;
    assert_eq!(
        service.check(&sent.id(), &code).await.outcome().1,
        "expired"
    );
}

#[tokio::test]
async fn what_was_left_stays_told_after_the_end() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let mut sent = vec![];
    for n in 1..=3 {
        let (id, code) = service.sent(&phone(n)).await;
        service.fail(&id, &code, 2).await;
        sent.push((id, code));
    }
    service.cancel(&sent[0].0).await;
    service.send(&phone(2)).await;
    service.advance(300).await;
    for ((id, code), reason) in sent.iter().zip(["canceled", "superseded", "expired"]) {
        for code in [code.clone(), other_than(code)] {
            assert_eq!(
                service.check(id, &code).await.outcome(),
                (false, reason, reason, 3)
            );
        }
        let shown = service.show(id).await;
        assert_eq!(
            (&shown.body["status"], &shown.body["attempts_left"]),
            (&json!(reason), &json!(3))
        );
    }
}

#[tokio::test]
async fn purpose_and_transaction_are_bound_and_a_wrong_one_looks_like_a_wrong_code() {
    let service = Service::start_with(&[("OTP_MAX_ATTEMPTS", "10")]).await;
    let sent = service
        .send_body(json!({"to": phone(1), "purpose": "payment", "transaction": transaction()}))
        .await;
    let (id, code) = (sent.id(), service.code(&phone(1)).await);
    let whole = json!({"code": code, "purpose": "payment", "transaction": transaction()});
    let other = |more: Value| with(whole.clone(), &more);
    let bodies = [
        other(json!({"purpose": "login"})),
        other(json!({"purpose": null})),
        other(json!({"purpose": "default"})),
        other(json!({"transaction": null})),
        other(json!({"transaction": with(transaction(), &json!({"amount": "49.9"}))})),
        other(json!({"transaction": with(transaction(), &json!({"currency": "eur"}))})),
        other(json!({"transaction": with(transaction(), &json!({"payee": "Example Books "}))})),
    ];
    let mut left = 10;
    for body in bodies {
        left -= 1;
        let answer = service.check_body(&id, body.clone()).await;
        assert_eq!(
            answer.outcome(),
            (false, "wrong_code", "pending", left),
            "{body}"
        );
    }
    let right = service.check_body(&id, whole).await;
    assert_eq!(
        (right.outcome().0, &right.body["purpose"]),
        (true, &json!("payment"))
    );
}

#[tokio::test]
async fn nothing_in_the_answer_tells_which_element_was_wrong() {
    let service = Service::start().await;
    let mut answers = vec![];
    for n in 1..=4 {
        let sent = service
            .send_body(json!({"to": phone(n), "purpose": "payment", "transaction": transaction()}))
            .await;
        let code = service.code(&phone(n)).await;
        let wrong = other_than(&code);
        let body = match n {
            1 => json!({"code": wrong, "purpose": "login", "transaction": transaction()}),
            2 => json!({"code": code, "purpose": "login", "transaction": transaction()}),
            3 => json!({"code": wrong, "purpose": "login"}),
            _ => json!({"code": code, "purpose": "login"}),
        };
        let answer = service.check_body(&sent.id(), body).await;
        assert!(
            !String::from_utf8_lossy(&answer.raw).contains("payment"),
            "{answer:?}"
        );
        answers.push((
            answer.status,
            with(answer.body, &json!({"id": "", "to": ""})),
        ));
    }
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_transaction_where_there_was_none_is_wrong() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(1)).await;
    assert_eq!(
        service
            .check_body(&id, json!({"code": code, "transaction": transaction()}))
            .await
            .outcome(),
        (false, "wrong_code", "pending", 4)
    );
    assert_eq!(
        service
            .check_body(
                &id,
                json!({"code": code, "purpose": null, "transaction": null})
            )
            .await
            .outcome()
            .0,
        true
    );
}

#[tokio::test]
async fn a_code_may_be_typed_with_spaces_and_hyphens() {
    let service = Service::start().await;
    for (n, typed) in [
        (1, "ab cd ef"),
        (2, "abc-def"),
        (3, " abcdef "),
        (4, "-a-b-c-d-e-f-"),
        (5, "a  b  c  d  e  f                    "),
    ] {
        let (id, code) = service.sent(&phone(n)).await;
        let typed = typed.chars().map(|c| {
            if c.is_ascii_lowercase() {
                char::from(code.as_bytes()[c as usize - 'a' as usize])
            } else {
                c
            }
        });
        assert_eq!(
            service
                .check(&id, &typed.collect::<String>())
                .await
                .outcome()
                .0,
            true
        );
    }
}

#[tokio::test]
async fn letters_may_be_typed_in_either_case() {
    let service = Service::start_with(&[("OTP_CODE_ALPHABET", "alphanumeric")]).await;
    for n in 1..=4 {
        let (id, code) = service.sent(&phone(n)).await;
        assert!(
            code.len() == 6
                && code
                    .chars()
                    .all(|c| "23456789BCDFGHJKMNPQRSTVWXZ".contains(c)),
            "an alphabet without look-alikes"
        );
        assert_eq!(
            service
                .check(&id, &other_than(&code).to_lowercase())
                .await
                .outcome(),
            (false, "wrong_code", "pending", 4)
        );
        let typed = format!("{}-{}", &code[..3].to_lowercase(), &code[3..]);
        assert_eq!(service.check(&id, &typed).await.outcome().0, true);
    }
    let (id, _) = service.sent(&phone(5)).await;
    for foreign in ["ABCDEF", "BCD230", "BCD231", "BCDLOI", "BCDUYE", "ſßſßſß"] {
        assert_eq!(
            service.check(&id, foreign).await.problem(),
            (422, "invalid_code"),
            "{foreign}"
        );
    }
    assert_eq!(service.show(&id).await.body["attempts_left"], 5);
}

#[tokio::test]
async fn what_cannot_be_a_code_costs_nothing() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(1)).await;
    let wide: String = code
        .bytes()
        .filter_map(|digit| char::from_u32(0xff10 + u32::from(digit - b'0')))
        .collect();
    let arabic: String = code
        .bytes()
        .filter_map(|digit| char::from_u32(0x0660 + u32::from(digit - b'0')))
        .collect();
    let spelled = [
        format!("{code}\n"),
        format!("{code}\t"),
        format!("+{code}"),
        format!("{code}\u{a0}"),
        format!("{}–{}", &code[..3], &code[3..]),
    ];
    for typed in [
        "",
        "1",
        "123",
        "12 3",
        "12345678901",
        "12345a",
        "abcdef",
        "12.345",
        "0x1234",
        "1e5",
        "    ",
        "------",
    ] {
        assert_eq!(
            service.check(&id, typed).await.problem(),
            (422, "invalid_code"),
            "{typed:?}"
        );
    }
    for typed in [&wide, &arabic].into_iter().chain(&spelled) {
        assert_eq!(
            service.check(&id, typed).await.problem(),
            (422, "invalid_code"),
            "{typed:?}"
        );
    }
    let large = "1".repeat(10_000);
    assert_eq!(
        service.check(&id, &large).await.problem(),
        (422, "invalid_code")
    );
    assert_eq!(service.show(&id).await.body["attempts_left"], 5);
    assert_eq!(
        service.check(&id, &code).await.outcome(),
        (true, "", "approved", 4)
    );
}

#[tokio::test]
async fn a_request_that_cannot_be_read_costs_nothing() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(1)).await;
    for body in [
        json!({}),
        json!({"code": null}),
        json!({"code": 123456}),
        json!({"code": [code]}),
        json!({"code": {"value": code}}),
        json!({"code": true}),
        json!({"code": code, "purpose": 1}),
        json!({"code": code, "purpose": ["default"]}),
        json!({"code": code, "purpose": "De fault"}),
        json!({"code": code, "transaction": "none"}),
        json!({"code": code, "transaction": {}}),
        json!({"code": code, "transaction": {"amount": "", "currency": "EUR", "payee": "P"}}),
        json!({"code": code, "codes": [code]}),
    ] {
        let answer = service.check_body(&id, body.clone()).await;
        assert!(
            matches!(
                answer.problem(),
                (422, "invalid_request") | (400, "malformed_request")
            ),
            "{body}: {answer:?}"
        );
    }
    assert_eq!(
        service.check(&id, &code).await.outcome(),
        (true, "", "approved", 4)
    );
}

#[tokio::test]
async fn a_well_formed_code_of_the_wrong_length_is_a_wrong_code() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(1)).await;
    for (typed, left) in [
        (code[..4].to_owned(), 4),
        (code[..5].to_owned(), 3),
        (format!("{code}0"), 2),
        (format!("0000{code}"), 1),
    ] {
        assert_eq!(
            service.check(&id, &typed).await.outcome(),
            (false, "wrong_code", "pending", left),
            "{}",
            typed.len()
        );
    }
    assert_eq!(service.check(&id, &code).await.outcome().0, true);
}

#[tokio::test]
async fn cancel_ends_a_pending_verification_and_nothing_else() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let (id, code) = service.sent(&phone(1)).await;
    let canceled = service.cancel(&id).await;
    assert_eq!(
        (
            canceled.status,
            &canceled.body["status"],
            &canceled.body["resend_at"]
        ),
        (200, &json!("canceled"), &json!(null))
    );
    assert_eq!(
        service.check(&id, &code).await.outcome(),
        (false, "canceled", "canceled", 5)
    );
    let mut ended = vec![(id, "canceled")];
    for (n, status) in [
        (2, "approved"),
        (3, "exhausted"),
        (4, "superseded"),
        (5, "expired"),
    ] {
        let (id, code) = service.sent(&phone(n)).await;
        match n {
            2 => drop(service.check(&id, &code).await),
            3 => drop(service.fail(&id, &code, 5).await),
            4 => drop(service.send(&phone(n)).await),
            _ => service.advance(300).await,
        }
        ended.push((id, status));
    }
    for (id, status) in ended {
        assert_eq!(
            service.cancel(&id).await.problem(),
            (409, "not_pending"),
            "{status}"
        );
        assert_eq!(service.show(&id).await.body["status"], status);
    }
}

#[tokio::test]
async fn a_canceled_message_that_still_waits_is_never_sent() {
    let service = Service::start().await;
    for carrier in ["sim-a", "sim-b"] {
        service.carrier(carrier, json!({"mode": "down"})).await;
    }
    let id = service.send(&phone(1)).await.id();
    service.settle().await;
    service.cancel(&id).await;
    for carrier in ["sim-a", "sim-b"] {
        service.carrier(carrier, json!({"mode": "ok"})).await;
    }
    service.advance(600).await;
    assert_eq!(service.messages(&phone(1)).await.len(), 0);
}

/// Ids that name nothing for app `default`.
async fn foreign_ids(service: &Service) -> Vec<String> {
    let shop = service
        .call_as(
            SHOP_KEY,
            "POST",
            "/v1/verifications",
            Some(json!({"to": phone(9)})),
            &[],
        )
        .await
        .id();
    let (ours, _) = service.sent(&phone(1)).await;
    let mut altered = ours.clone();
    let last = altered.pop();
    altered.push(if last == Some('A') { 'E' } else { 'A' });
    let ids = [
        UNKNOWN_ID,
        "ve_",
        "ve",
        "x",
        "1",
        "%00",
        "%2e%2e",
        "ve_%F0%9F%92%A9",
        "null",
        "-1",
        "ve_AAAA",
        "...",
        "ve_*",
    ];
    let long = format!("ve_{}", "A".repeat(2000));
    let cased = ours.replace("ve_", "VE_");
    let (cut, longer) = (ours[..ours.len() - 1].to_owned(), format!("{ours}A"));
    ids.into_iter()
        .map(str::to_owned)
        .chain([shop, altered, long, cased, cut, longer])
        .collect()
}

#[tokio::test]
async fn unknown_malformed_and_foreign_ids_are_all_alike() {
    let service = Service::start().await;
    let ids = foreign_ids(&service).await;
    let calls: [(&str, &str, Option<Value>); 4] = [
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/check", Some(json!({"code": "123456"}))),
        ("POST", "/resend", None),
    ];
    for (method, end, body) in calls {
        let mut seen = vec![];
        for id in &ids {
            let answer = service
                .call(
                    method,
                    &format!("/v1/verifications/{id}{end}"),
                    body.clone(),
                )
                .await;
            let mut headers: Vec<_> = answer
                .headers
                .keys()
                .map(|name| name.as_str().to_owned())
                .collect();
            headers.sort_unstable();
            seen.push((
                answer.status,
                headers,
                answer.header("content-type").map(str::to_owned),
                with(answer.body, &json!({"request_id": ""})),
            ));
        }
        assert_eq!((seen[0].0, &seen[0].3["code"]), (404, &json!("not_found")));
        for (id, one) in ids.iter().zip(&seen) {
            assert_eq!(one, &seen[0], "{method} {id}{end}");
        }
    }
}

#[tokio::test]
async fn reading_and_canceling_need_no_content_type() {
    let service = Service::start().await;
    let (id, _) = service.sent(&phone(1)).await;
    let bearer = format!("Bearer {DEFAULT_KEY}");
    let path = format!("/v1/verifications/{id}");
    assert_eq!(
        service
            .raw("GET", &path, &[("authorization", &bearer)], "")
            .await
            .status,
        200
    );
    assert_eq!(
        service
            .raw(
                "GET",
                &format!("{path}?x=1"),
                &[("authorization", &bearer)],
                ""
            )
            .await
            .status,
        200
    );
    assert_eq!(
        service
            .raw("DELETE", &path, &[("authorization", &bearer)], "")
            .await
            .status,
        200
    );
}
