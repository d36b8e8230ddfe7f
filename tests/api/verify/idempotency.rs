//! `Idempotency-Key` of a check: a repeated check gets the first response again and costs no
//! attempt.

use serde_json::json;

use super::transaction;
use crate::support::{
    NO_SEND_LIMITS, Service, another_code, assert_approved, assert_check, assert_problem,
    assert_replays, phone,
};

#[tokio::test]
async fn repeated_check_replays_the_first_response() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(1)).await;
    let wrong = json!({"code": another_code(&code)});
    let first = service.check_with_key(&id, wrong.clone(), "a").await;
    assert_check(&first, "wrong_code", "pending", 4);
    assert!(!first.is_replayed());
    service.fail_checks(&id, &code, 1).await;
    for key in ["a", "\"a\""] {
        let again = service.check_with_key(&id, wrong.clone(), key).await;
        assert_replays(&again, &first);
    }
    assert_eq!(service.show(&id).await.body["attempts_left"], 3);
    let right = service
        .check_with_key(&id, json!({"code": code}), "b")
        .await;
    assert_approved(&right, 2);
    assert!(!right.is_replayed());
    let again = service
        .check_with_key(&id, json!({"code": code, "purpose": null}), "b")
        .await;
    // An approval whose response was lost.
    assert_replays(&again, &right);
    assert_eq!(
        service
            .check_with_key(&id, json!({"code": code}), "c")
            .await
            .check_result()
            .reason,
        "already_used"
    );
    assert_eq!(
        service.check(&id, &code).await.check_result().reason,
        "already_used"
    );
}

#[tokio::test]
async fn same_key_with_another_check_is_a_mismatch() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(1)).await;
    service
        .check_with_key(&id, json!({"code": another_code(&code)}), "k")
        .await;
    for body in [
        json!({"code": code}),
        json!({"code": another_code(&code), "purpose": "login"}),
        json!({"code": another_code(&code), "transaction": transaction()}),
    ] {
        assert_eq!(
            service
                .check_with_key(&id, body.clone(), "k")
                .await
                .problem(),
            (422, "idempotency_mismatch"),
            "{body}"
        );
    }
    assert_eq!(
        service.show(&id).await.body["attempts_left"],
        4,
        "a mismatch costs no attempt"
    );
    assert!(
        service
            .check_with_key(&id, json!({"code": code}), "k2")
            .await
            .is_valid()
    );
    assert_problem(
        &service
            .check_with_key(&id, json!({"code": another_code(&code)}), "k2")
            .await,
        422,
        "idempotency_mismatch",
    );
}

#[tokio::test]
async fn first_response_is_replayed_after_the_end() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let mut firsts = vec![];
    for n in 1..=5 {
        let (id, code) = service.open(&phone(n)).await;
        let wrong = json!({"code": another_code(&code)});
        let first = service.check_with_key(&id, wrong.clone(), "k").await;
        match n {
            1 => drop(service.cancel(&id).await),
            2 => drop(service.send(&phone(n)).await),
            3 => drop(service.check(&id, &code).await),
            4 => drop(service.fail_checks(&id, &code, 4).await),
            _ => service.advance(300).await,
        }
        firsts.push((id, wrong, code, first));
    }
    for (id, wrong, code, first) in &firsts {
        let again = service.check_with_key(id, wrong.clone(), "k").await;
        assert_replays(&again, first);
        assert_problem(
            &service.check_with_key(id, json!({"code": code}), "k").await,
            422,
            "idempotency_mismatch",
        );
        assert!(
            !service
                .check_with_key(id, json!({"code": code}), "other")
                .await
                .is_valid()
        );
    }
}

#[tokio::test]
async fn approval_is_replayed_after_a_newer_verification() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let (id, code) = service.open(&phone(1)).await;
    let first = service
        .check_with_key(&id, json!({"code": code}), "k")
        .await;
    assert!(first.is_valid());
    for _ in 0..3 {
        service.send(&phone(1)).await;
    }
    let again = service
        .check_with_key(&id, json!({"code": code}), "k")
        .await;
    assert_replays(&again, &first);
    assert_eq!(
        service.check(&id, &code).await.check_result().reason,
        "already_used"
    );
    assert_eq!(service.show(&id).await.body["status"], "approved");
}

#[tokio::test]
async fn repeated_check_of_an_exhausted_verification_is_the_same() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(1)).await;
    service.fail_checks(&id, &code, 5).await;
    let first = service
        .check_with_key(&id, json!({"code": code}), "k")
        .await;
    assert_check(&first, "exhausted", "exhausted", 0);
    assert_eq!(
        service
            .check_with_key(&id, json!({"code": code}), "k")
            .await
            .body,
        first.body
    );
}

#[tokio::test]
async fn check_of_an_ended_verification_stores_no_key() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    for n in 1..=4 {
        let (id, code) = service.open(&phone(n)).await;
        match n {
            1 => drop(service.cancel(&id).await),
            2 => drop(service.send(&phone(n)).await),
            3 => drop(service.fail_checks(&id, &code, 5).await),
            _ => service.advance(300).await,
        }
        let first = service
            .check_with_key(&id, json!({"code": code}), "k")
            .await;
        assert_eq!(
            (first.is_valid(), first.is_replayed()),
            (false, false),
            "{first:?}"
        );
        for body in [
            json!({"code": code}),
            json!({"code": another_code(&code)}),
            json!({"code": code, "transaction": transaction()}),
        ] {
            let again = service.check_with_key(&id, body.clone(), "k").await;
            assert_eq!(
                (again.check_result(), again.is_replayed()),
                (first.check_result(), false),
                "{n}: {body}: evaluated again"
            );
        }
    }
}

#[tokio::test]
async fn check_after_approval_stores_its_key_with_room() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(1)).await;
    assert!(service.check(&id, &code).await.is_valid());
    let first = service
        .check_with_key(&id, json!({"code": code}), "k")
        .await;
    assert_eq!(
        (first.check_result().reason, first.is_replayed()),
        ("already_used", false)
    );
    let again = service
        .check_with_key(&id, json!({"code": code}), "k")
        .await;
    assert_eq!(
        (again.check_result(), again.is_replayed()),
        (first.check_result(), true)
    );
    assert_problem(
        &service
            .check_with_key(&id, json!({"code": another_code(&code)}), "k")
            .await,
        422,
        "idempotency_mismatch",
    );
    for n in 0..9 {
        assert_eq!(
            service
                .check_with_key(&id, json!({"code": code}), &format!("k{n}"))
                .await
                .check_result(),
            first.check_result()
        );
    }
    let last = service
        .check_with_key(&id, json!({"code": another_code(&code)}), "k8")
        .await;
    assert_eq!(
        (last.check_result(), last.is_replayed()),
        (first.check_result(), false),
        "evaluated again"
    );
}

#[tokio::test]
async fn repeated_check_is_recognized_in_other_notations() {
    let service = Service::start_with(&[("OTP_CODE_ALPHABET", "alphanumeric")]).await;
    let sent = service
        .send_body(json!({"to": phone(1), "transaction": transaction()}))
        .await;
    let code = service.code(&phone(1)).await;
    let check = json!({"code": code, "transaction": transaction()});
    let first = service.check_with_key(&sent.id(), check, "k").await;
    assert_eq!(
        (first.is_valid(), first.is_replayed()),
        (true, false),
        "{first:?}"
    );
    let spaced = format!("{} - {}", &code[..3], &code[3..]).to_lowercase();
    for body in [
        json!({"code": spaced, "transaction": transaction()}),
        json!({"transaction": transaction(), "purpose": null, "code": code}),
        json!({"code": code, "purpose": "default", "transaction": transaction()}),
    ] {
        let again = service.check_with_key(&sent.id(), body.clone(), "k").await;
        assert_eq!(
            (&again.body, again.is_replayed()),
            (&first.body, true),
            "{body}"
        );
    }
}
