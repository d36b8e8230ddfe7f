//! `Idempotency-Key` of a check: a repetition gets the first answer again and costs nothing.

use serde_json::json;

use super::transaction;
use crate::given::{NO_SEND_LIMITS, phone};
use crate::harness::{Service, other_than};

#[tokio::test]
async fn a_repeated_check_gets_the_first_answer_and_costs_nothing() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(1)).await;
    let wrong = json!({"code": other_than(&code)});
    let first = service.check_with_key(&id, wrong.clone(), "a").await;
    assert_eq!(
        (first.outcome(), first.is_replayed()),
        ((false, "wrong_code", "pending", 4), false)
    );
    service.fail(&id, &code, 1).await;
    for key in ["a", "\"a\""] {
        let again = service.check_with_key(&id, wrong.clone(), key).await;
        assert_eq!(
            (&again.body, again.is_replayed()),
            (&first.body, true),
            "as it was answered then"
        );
    }
    assert_eq!(service.show(&id).await.body["attempts_left"], 3);
    let right = service
        .check_with_key(&id, json!({"code": code}), "b")
        .await;
    assert_eq!(
        (right.outcome(), right.is_replayed()),
        ((true, "", "approved", 2), false)
    );
    let again = service
        .check_with_key(&id, json!({"code": code, "purpose": null}), "b")
        .await;
    assert_eq!(
        (&again.body, again.is_replayed()),
        (&right.body, true),
        "a lost success is fetched once more"
    );
    assert_eq!(
        service
            .check_with_key(&id, json!({"code": code}), "c")
            .await
            .outcome()
            .1,
        "already_used"
    );
    assert_eq!(service.check(&id, &code).await.outcome().1, "already_used");
}

#[tokio::test]
async fn a_key_with_another_code_purpose_or_transaction_is_a_mismatch() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(1)).await;
    service
        .check_with_key(&id, json!({"code": other_than(&code)}), "k")
        .await;
    for body in [
        json!({"code": code}),
        json!({"code": other_than(&code), "purpose": "login"}),
        json!({"code": other_than(&code), "transaction": transaction()}),
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
        "and costs nothing"
    );
    assert_eq!(
        service
            .check_with_key(&id, json!({"code": code}), "k2")
            .await
            .outcome()
            .0,
        true
    );
    assert_eq!(
        service
            .check_with_key(&id, json!({"code": other_than(&code)}), "k2")
            .await
            .problem(),
        (422, "idempotency_mismatch")
    );
}

#[tokio::test]
async fn the_first_answer_is_told_again_after_every_end() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let mut firsts = vec![];
    for n in 1..=5 {
        let (id, code) = service.sent(&phone(n)).await;
        let wrong = json!({"code": other_than(&code)});
        let first = service.check_with_key(&id, wrong.clone(), "k").await;
        match n {
            1 => drop(service.cancel(&id).await),
            2 => drop(service.send(&phone(n)).await),
            3 => drop(service.check(&id, &code).await),
            4 => drop(service.fail(&id, &code, 4).await),
            _ => service.advance(300).await,
        }
        firsts.push((id, wrong, code, first));
    }
    for (id, wrong, code, first) in &firsts {
        let again = service.check_with_key(id, wrong.clone(), "k").await;
        assert_eq!((&again.body, again.is_replayed()), (&first.body, true));
        assert_eq!(
            service
                .check_with_key(id, json!({"code": code}), "k")
                .await
                .problem(),
            (422, "idempotency_mismatch")
        );
        assert_eq!(
            service
                .check_with_key(id, json!({"code": code}), "other")
                .await
                .outcome()
                .0,
            false
        );
    }
}

#[tokio::test]
async fn a_success_is_told_again_after_it_was_superseded() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let (id, code) = service.sent(&phone(1)).await;
    let first = service
        .check_with_key(&id, json!({"code": code}), "k")
        .await;
    assert_eq!(first.outcome().0, true);
    for _ in 0..3 {
        service.send(&phone(1)).await;
    }
    let again = service
        .check_with_key(&id, json!({"code": code}), "k")
        .await;
    assert_eq!((&again.body, again.is_replayed()), (&first.body, true));
    assert_eq!(service.check(&id, &code).await.outcome().1, "already_used");
    assert_eq!(service.show(&id).await.body["status"], "approved");
}

#[tokio::test]
async fn a_check_refused_by_the_end_is_the_same_when_repeated() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(1)).await;
    service.fail(&id, &code, 5).await;
    let first = service
        .check_with_key(&id, json!({"code": code}), "k")
        .await;
    assert_eq!(first.outcome(), (false, "exhausted", "exhausted", 0));
    assert_eq!(
        service
            .check_with_key(&id, json!({"code": code}), "k")
            .await
            .body,
        first.body
    );
}

#[tokio::test]
async fn a_check_that_finds_the_end_is_not_remembered() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    for n in 1..=4 {
        let (id, code) = service.sent(&phone(n)).await;
        match n {
            1 => drop(service.cancel(&id).await),
            2 => drop(service.send(&phone(n)).await),
            3 => drop(service.fail(&id, &code, 5).await),
            _ => service.advance(300).await,
        }
        let first = service
            .check_with_key(&id, json!({"code": code}), "k")
            .await;
        assert_eq!(
            (first.outcome().0, first.is_replayed()),
            (false, false),
            "{first:?}"
        );
        for body in [
            json!({"code": code}),
            json!({"code": other_than(&code)}),
            json!({"code": code, "transaction": transaction()}),
        ] {
            let again = service.check_with_key(&id, body.clone(), "k").await;
            assert_eq!(
                (again.outcome(), again.is_replayed()),
                (first.outcome(), false),
                "{n}: {body}: judged anew, as it ended"
            );
        }
    }
}

#[tokio::test]
async fn a_check_after_the_success_is_remembered_while_there_is_room() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(1)).await;
    assert_eq!(service.check(&id, &code).await.outcome().0, true);
    let first = service
        .check_with_key(&id, json!({"code": code}), "k")
        .await;
    assert_eq!(
        (first.outcome().1, first.is_replayed()),
        ("already_used", false)
    );
    let again = service
        .check_with_key(&id, json!({"code": code}), "k")
        .await;
    assert_eq!(
        (again.outcome(), again.is_replayed()),
        (first.outcome(), true)
    );
    assert_eq!(
        service
            .check_with_key(&id, json!({"code": other_than(&code)}), "k")
            .await
            .problem(),
        (422, "idempotency_mismatch")
    );
    for n in 0..9 {
        assert_eq!(
            service
                .check_with_key(&id, json!({"code": code}), &format!("k{n}"))
                .await
                .outcome(),
            first.outcome()
        );
    }
    let last = service
        .check_with_key(&id, json!({"code": other_than(&code)}), "k8")
        .await;
    assert_eq!(
        (last.outcome(), last.is_replayed()),
        (first.outcome(), false),
        "judged anew"
    );
}

#[tokio::test]
async fn a_repetition_is_known_by_what_it_presents_and_not_by_its_bytes() {
    let service = Service::start_with(&[("OTP_CODE_ALPHABET", "alphanumeric")]).await;
    let sent = service
        .send_body(json!({"to": phone(1), "transaction": transaction()}))
        .await;
    let code = service.code(&phone(1)).await;
    let presented = json!({"code": code, "transaction": transaction()});
    let first = service.check_with_key(&sent.id(), presented, "k").await;
    assert_eq!(
        (first.outcome().0, first.is_replayed()),
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
