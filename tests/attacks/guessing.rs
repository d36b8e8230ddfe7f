//! Attacks that guess a code more often than they may.

use serde_json::{Value, json};
use support::{
    DEFAULT_KEY, NO_SEND_LIMITS, Service, TO, TestResponse, Twilio, another_code, assert_approved,
    assert_check, assert_problem, assert_rejected, assert_status,
};

use crate::attack::{Attack, checks_at_once, count, retry_after};

const DAY_SECONDS: i64 = 86_400;
/// The defaults of `OTP_MAX_ATTEMPTS` and `OTP_GUESS_BUDGET`.
const ATTEMPTS_MAX: usize = 5;
const GUESS_BUDGET: usize = 20;

pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "parallel_guesses",
        published: "Parallel guesses pass before the counter is written (Instagram 2019, Keycloak CVE-2024-4629, LatePoint CVE-2026-110653)",
        tried: "100 wrong codes at once for one verification, then the right one",
        bound: "k = 5 attempts for one verification",
        run: || Box::pin(parallel_guesses()),
    },
    Attack {
        name: "parallel_redemption",
        published: "One code is redeemed twice at once (better-auth #8067, MISP CVE-2026-107276)",
        tried: "the right code 50 times at once, for 5 verifications",
        bound: "1 success for one verification",
        run: || Box::pin(parallel_redemption()),
    },
    Attack {
        name: "guesses_across_resends",
        published: "A new session or a resend resets the counter (AuthQuake 2024, better-auth #11162)",
        tried: "wrong codes during 24 hours, with each resend and each new verification that the limits admit",
        bound: "F = 20 attempts for one recipient in 24 hours: a probability of 2e-5",
        run: || Box::pin(guesses_across_resends()),
    },
    Attack {
        name: "lockout_on_sends_only",
        published: "The lock-out is checked when a code is requested, not when it is checked (CVE-2024-11178, CVE-2026-8760)",
        tried: "19 wrong codes in 4 verifications, then more at a verification that is still open",
        bound: "F = 20 attempts, also with an open verification",
        run: || Box::pin(lockout_on_sends_only()),
    },
    Attack {
        name: "rotating_addresses",
        published: "A rate limit by client address replaces the invalidation of the code (Outline CVE-2026-33640)",
        tried: "50 wrong codes, each with another `X-Forwarded-For`, `X-Real-IP` and `Forwarded`",
        bound: "k = 5 attempts, whatever the address",
        run: || Box::pin(rotating_addresses()),
    },
    Attack {
        name: "uncounted_retries",
        published: "A retry is not counted, so retries are free guesses",
        tried: "30 codes with the `Idempotency-Key` of a first wrong one",
        bound: "a replay compares nothing",
        run: || Box::pin(uncounted_retries()),
    },
    Attack {
        name: "check_by_number",
        published: "Checks by number use up the attempts of a code that another person waits for",
        tried: "wrong codes by number in Twilio's dialect, with a new verification whenever it has \
                no attempts left",
        bound: "F = 20 attempts for one recipient in 24 hours; the native API checks by id only",
        run: || Box::pin(check_by_number()),
    },
    Attack {
        name: "code_of_another_operation",
        published: "A code confirms an operation that it was not sent for (no dynamic linking)",
        tried: "the right code with another purpose, amount, currency or payee, or without them",
        bound: "0 successes; each try is an attempt",
        run: || Box::pin(code_of_another_operation()),
    },
];

async fn parallel_guesses() -> String {
    let service = Service::start().await;
    let (id, code) = service.open(TO).await;
    let responses = checks_at_once(&service, 100, &id, &another_code(&code)).await;
    let (compared, exhausted) = (
        count(&responses, "wrong_code"),
        count(&responses, "exhausted"),
    );
    let unavailable = responses
        .iter()
        .filter(|response| response.status == 503)
        .count();
    assert!(compared <= ATTEMPTS_MAX, "{compared} were compared");
    assert_eq!(compared + exhausted + unavailable, 100);
    assert_check(
        &service.check(&id, &code).await,
        "exhausted",
        "exhausted",
        0,
    );
    format!("{ATTEMPTS_MAX} attempts in the log; then `exhausted`, also for the right code")
}

async fn parallel_redemption() -> String {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    for _ in 0..5 {
        let (id, code) = service.open(TO).await;
        let responses = checks_at_once(&service, 50, &id, &code).await;
        assert_eq!(count(&responses, ""), 1, "{responses:?}");
        assert_check(
            &service.check(&id, &code).await,
            "already_used",
            "approved",
            4,
        );
    }
    "valid once for each; every other answer is `already_used`".to_owned()
}

async fn guesses_across_resends() -> String {
    let service = Service::start().await;
    let end = service.now().await + DAY_SECONDS;
    let (mut compared, mut latest) = (0, None);
    let limit = loop {
        let sent = service.send(TO).await;
        if sent.status == 429 {
            let wait = retry_after(&sent);
            if service.now().await + wait >= end - 1 {
                break sent.body["limit"].clone();
            }
            service.advance(wait).await;
            continue;
        }
        assert_status(&sent, 201);
        let (id, code) = (sent.id(), service.code_of(TO, &sent.id()).await);
        compared += guess_with_resends(&service, &id, &code).await;
        latest = Some((id, code));
    };
    assert_eq!(compared, GUESS_BUDGET);
    let (id, code) = latest.expect("a verification");
    assert!(
        !service.check(&id, &code).await.is_valid(),
        "the right code"
    );
    assert_eq!(limit, "guess_budget");
    format!("{compared} compared, then 429 `guess_budget`; the right code is not valid any more")
}

/// Wrong codes until the verification has ended, with a resend before each if one is admitted.
async fn guess_with_resends(service: &Service, id: &str, code: &str) -> usize {
    for compared in 0.. {
        if service.resend(id).await.status == 429 {
            service.advance(20).await;
        }
        let checked = service.check(id, &another_code(code)).await;
        if checked.check_result().reason != "wrong_code" {
            return compared;
        }
    }
    0
}

async fn lockout_on_sends_only() -> String {
    let service = Service::start().await;
    let mut superseded = (String::new(), String::new());
    for wrong in [5, 5, 5, 4] {
        superseded = service.open(TO).await;
        service
            .fail_checks(&superseded.0, &superseded.1, wrong)
            .await;
        service.advance(retry_after(&service.send(TO).await)).await;
    }
    let (id, code) = service.open(TO).await;
    assert_eq!(service.show(&id).await.body["attempts_left"], 1);
    service.fail_checks(&id, &code, 1).await;
    assert_check(
        &service.check(&id, &code).await,
        "exhausted",
        "exhausted",
        0,
    );
    assert!(!service.check(&superseded.0, &superseded.1).await.is_valid());
    assert_rejected(&service.send(TO).await, "guess_budget");
    "1 more is compared; then `exhausted`, also for the right code, and 429 `guess_budget` for sends".to_owned()
}

async fn rotating_addresses() -> String {
    let service = Service::start().await;
    let (id, code) = service.open(TO).await;
    let path = format!("/v1/verifications/{id}/check");
    let mut responses = vec![];
    for n in 0..50 {
        let address = format!("203.0.113.{n}");
        let forwarded = format!("for={address}");
        let headers = [
            ("x-forwarded-for", address.as_str()),
            ("x-real-ip", &address),
            ("forwarded", &forwarded),
        ];
        let body = Some(json!({"code": another_code(&code)}));
        responses.push(
            service
                .call_as(DEFAULT_KEY, "POST", &path, body, &headers)
                .await,
        );
    }
    assert_eq!(count(&responses, "wrong_code"), ATTEMPTS_MAX);
    assert_check(
        &service.check(&id, &code).await,
        "exhausted",
        "exhausted",
        0,
    );
    format!("{ATTEMPTS_MAX} compared; then `exhausted`, also for the right code")
}

async fn uncounted_retries() -> String {
    let service = Service::start().await;
    let (id, code) = service.open(TO).await;
    let check = async |code: &str| {
        let body = json!({"code": code});
        service.check_with_key(&id, body, "retry").await
    };
    let first = check(&another_code(&code)).await;
    assert_check(&first, "wrong_code", "pending", 4);
    for n in 0..29 {
        let other = check(&format!("{n:06}")).await;
        assert!(is_not_compared(&other, &first), "{other:?}");
    }
    assert_problem(&check(&code).await, 422, "idempotency_mismatch");
    assert_approved(&service.check(&id, &code).await, 3);
    "422 `idempotency_mismatch`, also for the right code; 1 attempt is used".to_owned()
}

/// A rejection; or a replay, if the code is by chance the first one.
fn is_not_compared(response: &TestResponse, first: &TestResponse) -> bool {
    match response.status {
        200 => response.body == first.body,
        _ => response.problem() == (422, "idempotency_mismatch"),
    }
}

async fn check_by_number() -> String {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let twilio = Twilio::of(&service, DEFAULT_KEY).await;
    let mut compared = 0;
    let rejected = loop {
        let created = twilio.create(TO).await;
        if created.status != 201 {
            break created;
        }
        let wrong = another_code(&service.code(TO).await);
        for _ in 0..10 {
            let checked = twilio.check(TO, &wrong).await;
            compared += usize::from(checked.status == 200);
        }
    };
    assert_eq!(compared, GUESS_BUDGET);
    assert_eq!(
        rejected.body["details"]["limit"], "guess_budget",
        "{rejected:?}"
    );
    let number = &rejected.body["code"];
    format!("{compared} compared, then 429 / {number} `guess_budget`; `unlock` ends that")
}

async fn code_of_another_operation() -> String {
    let service = Service::start_with(&[("OTP_MAX_ATTEMPTS", "10")]).await;
    let payment = json!({"amount": "10.00", "currency": "EUR", "payee": "Shop"});
    let body = json!({"to": TO, "purpose": "payment", "transaction": payment});
    let id = service.open_id(body).await;
    let code = service.code_of(TO, &id).await;
    let with = |name: &str, value: &str| {
        let mut other = payment.clone();
        other[name] = value.into();
        other
    };
    let others = [
        ("login", payment.clone()),
        ("default", payment.clone()),
        ("payment", Value::Null),
        ("payment", with("amount", "1000.00")),
        ("payment", with("amount", "10.0")),
        ("payment", with("currency", "USD")),
        ("payment", with("payee", "Shop ")),
    ];
    for (n, (purpose, transaction)) in (1..).zip(others) {
        let body = json!({"code": code, "purpose": purpose, "transaction": transaction});
        assert_check(
            &service.check_body(&id, body).await,
            "wrong_code",
            "pending",
            10 - n,
        );
    }
    let body = json!({"code": code, "purpose": "payment", "transaction": payment});
    assert_approved(&service.check_body(&id, body).await, 2);
    "`wrong_code`, which does not say what differs; each is counted".to_owned()
}
