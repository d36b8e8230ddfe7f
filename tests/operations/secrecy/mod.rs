//! Secrecy: after all kinds of requests, codes and numbers can be read only on the phones and in
//! the `to` of a response: not in stored items, not in errors, not in the log.

mod scan;
mod subjects;
mod traffic;

use std::collections::BTreeSet;

use data_encoding::BASE32_NOPAD;
use serde_json::json;

use scan::{assert_no_secret, assert_sealed, contains, contains_word, decoded, encodings, strings};
use traffic::{BAD_KEY, IDEMPOTENCY_KEY, Recorder, errors, failures, flows};

use crate::support::{
    DEFAULT_KEY, NO_SEND_LIMITS, SHOP_KEY, Service, assert_status, phone, stored_items, with,
};

fn assert_responses_are_clean(recorder: &Recorder, codes: &BTreeSet<String>) {
    for (request, response) in recorder.responses.lock().expect("no poison").iter() {
        let mut body = response.body.clone();
        if response.status < 300 {
            body = with(body, &json!({"to": ""}));
            let verifications = body["verifications"].as_array_mut();
            for verification in verifications.into_iter().flatten() {
                verification["to"] = json!("");
            }
        }
        assert_no_secret(
            &format!("the body of {request} -> {}", response.status),
            &body.to_string(),
            codes,
        );
        assert_no_secret(
            &format!("a header of {request} -> {}", response.status),
            &format!("{:?}", response.headers),
            codes,
        );
    }
}

async fn assert_log_is_clean(recorder: Recorder, codes: &BTreeSet<String>) {
    let printed = recorder.process.kill().await;
    assert!(
        printed.contains("request rejected"),
        "the log was captured: {printed}"
    );
    assert_no_secret("the log", &printed, codes);
    for secret in [
        DEFAULT_KEY,
        SHOP_KEY,
        BAD_KEY,
        IDEMPOTENCY_KEY,
        "canary.person",
        "secret-domain",
        "Bearer",
        "is your",
        "votre code",
    ] {
        assert!(
            !printed.contains(secret),
            "the log contains {secret}: {printed}"
        );
    }
}

#[tokio::test]
async fn codes_and_numbers_appear_only_on_phones() {
    let recorder = Recorder::start().await;
    flows(&recorder).await;
    errors(&recorder).await;
    failures(&recorder).await;
    recorder.carriers(json!({"mode": "down"})).await;
    for n in 20..25 {
        recorder.send(json!({"to": phone(n)})).await;
    }
    let state = recorder.service().state().await;
    assert!(
        state["queue"]
            .as_array()
            .is_some_and(|queue| queue.len() >= 5),
        "messages are queued: {}",
        state["queue"]
    );
    recorder.carriers(json!({"mode": "ok"})).await;
    recorder.service().advance(60).await;
    for n in 20..25 {
        assert!(
            !recorder.record_codes(&phone(n)).await.is_empty(),
            "queued messages are sent"
        );
    }
    let codes = recorder.codes.lock().expect("no poison").clone();
    assert!(codes.len() > 25, "{codes:?}");
    let phones = String::from_utf8_lossy(
        &recorder
            .service()
            .raw("GET", "/local/messages", &[], "")
            .await
            .raw,
    )
    .into_owned();
    assert!(
        encodings()
            .iter()
            .any(|spelling| contains(phones.as_bytes(), spelling)),
        "the scan finds what is on the phones"
    );
    assert!(
        codes
            .iter()
            .filter(|code| contains_word(&phones, code))
            .count()
            > 15,
        "the scan finds what is on the phones"
    );
    assert_sealed(&state, &codes);
    assert_sealed(&recorder.service().state().await, &codes);
    assert_responses_are_clean(&recorder, &codes);
    assert_log_is_clean(recorder, &codes).await;
}

#[tokio::test]
async fn error_does_not_echo_field_names() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(1)).await;
    let bearer = format!("Bearer {DEFAULT_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let send = "/v1/verifications".to_owned();
    for (path, body) in [
        (&send, json!({"to": phone(1), phone(1): 1})),
        (&send, json!({"to": phone(1), &code: 1})),
        (
            &format!("{send}/{id}/check"),
            json!({"code": code, phone(1): code}),
        ),
        (
            &format!("{send}/{id}/check"),
            json!({"code": code, &code: phone(1)}),
        ),
    ] {
        let response = service.raw("POST", path, &headers, body.to_string()).await;
        assert!((400..500).contains(&response.status), "{response:?}");
        assert_no_secret(
            "an error",
            &response.body.to_string(),
            &BTreeSet::from([code.clone()]),
        );
    }
}

#[tokio::test]
async fn verification_id_reveals_nothing_about_its_recipient() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let mut parts = BTreeSet::new();
    for n in [1, 1, 1, 2] {
        let id = service.send(&phone(n)).await.id();
        let digits = id.trim_start_matches("ve_").to_uppercase();
        let bytes = BASE32_NOPAD.decode(digits.as_bytes()).expect("base32");
        assert!(bytes.len() >= 16, "128 bits at least: {id}");
        for window in bytes.windows(4) {
            assert!(parts.insert(window.to_vec()), "two ids share a part: {id}");
        }
    }
    let items = stored_items(&service).await;
    let keys: Vec<_> = items
        .iter()
        .flat_map(|item| decoded(item["pk"]["B"].as_str().unwrap_or_default()))
        .collect();
    assert!(
        keys.len() >= 2
            && keys
                .iter()
                .all(|key| key.windows(4).all(|window| !parts.contains(window))),
        "an id contains a part of the key of its record"
    );
}

#[tokio::test]
async fn forget_deletes_all_content_of_the_recipient() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    // As many that the first ones leave the recipient's item.
    for n in 0..9 {
        let body =
            json!({"to": phone(1), "reference": "reference-canary", "purpose": "purpose-canary"});
        let sent = service.send_with_key(body, &format!("{n}")).await;
        assert_status(&sent, 201);
        service.settle().await;
    }
    let stored_bytes = async || {
        let mut items = stored_items(&service).await.into_iter();
        let record = items.find(|item| item["app"].is_object());
        record.map_or(0, |record| record.to_string().len())
    };
    let before = stored_bytes().await;
    service.forget(&phone(1)).await;
    let state = service.state().await;
    let hidden: Vec<Vec<u8>> = strings(&state)
        .iter()
        .flat_map(|text| decoded(text))
        .collect();
    assert!(
        hidden.iter().all(|bytes| !contains(bytes, b"canary")),
        "what the app sent is deleted"
    );
    assert!(stored_bytes().await < before / 2, "{state}");
}
