//! Decisions: which rule decides, what is remembered, and how long.

use serde_json::{Value, json};

use crate::support::{
    DEFAULT_KEY, SHOP_KEY, Service, assert_fields, assert_problem, assert_status, phone,
    stored_items, unix_seconds,
};

/// The rules of the documentation.
fn rules() -> String {
    json!([
        {"name": "admin", "when": {"role": ["admin"], "not_enrolled": ["totp"]}, "decision": "deny"},
        {"name": "big-payment", "when": {"action": ["payment"], "amount_over": {"EUR": "500"}},
         "decision": "challenge", "requires": [["totp", "sms"], ["backup_codes"]]},
        {"name": "elsewhere", "when": {"new_country": true}, "decision": "challenge",
         "requires": [["totp"], ["sms"]]},
        {"name": "rest", "decision": "allow"},
    ])
    .to_string()
}

async fn start() -> Service {
    Service::start_with(&[("OTP_RULES", &rules())]).await
}

fn request(action: &str, context: Value) -> Value {
    json!({"action": action, "context": context})
}

#[tokio::test]
async fn first_rule_that_holds_decides() {
    let service = start().await;
    let euros = |amount: &str| json!({"amount": amount, "currency": "EUR"});
    let pounds = json!({"amount": "1", "currency": "GBP"});
    for (body, rule, reasons) in [
        (
            request("login", json!({"role": "admin"})),
            "admin",
            json!(["role", "not_enrolled"]),
        ),
        (
            request("payment", euros("500.000001")),
            "big-payment",
            json!(["action", "amount_over"]),
        ),
        (
            request("payment", pounds),
            "big-payment",
            json!(["action", "amount_over"]),
        ),
        (
            request("payment", euros("500")),
            "elsewhere",
            json!(["new_country"]),
        ),
        (
            request("refund", euros("900")),
            "elsewhere",
            json!(["new_country"]),
        ),
        (
            json!({"action": "payment"}),
            "elsewhere",
            json!(["new_country"]),
        ),
        (
            request("login", json!({"role": "user"})),
            "elsewhere",
            json!(["new_country"]),
        ),
    ] {
        let decided = service.decide("ann", body.clone()).await;
        assert_status(&decided, 201);
        assert_fields(&decided.body, json!({"rule": rule, "reasons": reasons}));
    }
}

#[tokio::test]
async fn challenge_is_pending_until_it_expires() {
    let service = start().await;
    let euros = json!({"amount": "600", "currency": "EUR", "country": "fr"});
    let decided = service.decide("ann", request("payment", euros)).await;
    assert_fields(
        &decided.body,
        json!({"decision": "challenge", "status": "pending", "action": "payment",
            "requires": [["totp", "sms"], ["backup_codes"]],
            "missing": [["totp", "sms"], ["backup_codes"]], "approved_by": [],
            "approved_at": null}),
    );
    let times = ["created_at", "expires_at"].map(|name| unix_seconds(&decided.body[name]));
    assert_eq!(times[1] - times[0], 600);
    let location = decided.header("location").expect("a location");
    assert_eq!(
        location,
        format!("/v1/subjects/ann/decisions/{}", decided.id())
    );
    assert_eq!(service.call("GET", location, None).await.body, decided.body);
    service.advance(600).await;
    let shown = service.call("GET", location, None).await;
    assert_eq!(shown.body["status"], "expired");
    let denied = service.call("DELETE", location, None).await;
    assert_problem(&denied, 409, "decision_not_pending");
    service.advance(86_400).await;
    assert_status(&service.call("GET", location, None).await, 404);
}

#[tokio::test]
async fn allow_and_deny_are_final_from_the_start() {
    let rules = json!([
        {"name": "no", "when": {"action": ["delete"]}, "decision": "deny"},
        {"name": "yes", "decision": "allow"},
    ]);
    let service = Service::start_with(&[("OTP_RULES", &rules.to_string())]).await;
    let allowed = service.decide("ann", json!({"action": "login"})).await;
    assert_fields(
        &allowed.body,
        json!({"decision": "allow", "status": "approved", "requires": [], "missing": [],
            "reasons": [], "approved_at": allowed.body["created_at"]}),
    );
    let denied = service.decide("ann", json!({"action": "delete"})).await;
    assert_fields(
        &denied.body,
        json!({"decision": "deny", "status": "denied", "requires": [], "approved_at": null}),
    );
    let path = format!("/v1/subjects/ann/decisions/{}", denied.id());
    let again = service.call("DELETE", &path, None).await;
    assert_problem(&again, 409, "decision_not_pending");
}

#[tokio::test]
async fn default_rule_asks_for_any_proof() {
    let service = Service::start().await;
    let decided = service.decide("ann", json!({"action": "login"})).await;
    let words = [
        "totp",
        "hotp",
        "backup_codes",
        "sms",
        "voice",
        "whatsapp",
        "email",
    ];
    let lists: Vec<_> = words.iter().map(|word| json!([word])).collect();
    assert_fields(&decided.body, json!({"rule": "default", "requires": lists}));
}

#[tokio::test]
async fn pending_decision_is_denied_by_its_app() {
    let service = start().await;
    let decision = service.challenge("ann", "login").await;
    let denied = service.call("DELETE", &decision.path, None).await;
    assert_fields(&denied.body, json!({"id": decision.id, "status": "denied"}));
    let again = service.call("DELETE", &decision.path, None).await;
    assert_problem(&again, 409, "decision_not_pending");
    let foreign = format!("/v1/subjects/bob/decisions/{}", decision.id);
    for method in ["GET", "DELETE"] {
        let foreign = service.call(method, &foreign, None).await;
        assert_problem(&foreign, 404, "not_found");
        let malformed = service
            .call(method, "/v1/subjects/ann/decisions/de_x", None)
            .await;
        assert_eq!(malformed.body["detail"], foreign.body["detail"]);
    }
}

#[tokio::test]
async fn dry_run_stores_nothing() {
    let service = start().await;
    let body = json!({"action": "login", "dry_run": true});
    let decided = service.decide("ann", body).await;
    assert_status(&decided, 200);
    assert_fields(
        &decided.body,
        json!({"id": null, "rule": "elsewhere", "status": "pending"}),
    );
    let items = stored_items(&service).await;
    assert_eq!(items.len(), 0, "{items:?}");
}

#[tokio::test]
async fn invalid_requests_are_rejected() {
    let service = start().await;
    for (body, fields) in [
        (json!({}), vec!["action"]),
        (json!({"action": "Login"}), vec!["action"]),
        (json!({"action": "a", "dry_run": "yes"}), vec!["dry_run"]),
        (request("a", json!({"ip": "1.2.3"})), vec!["context.ip"]),
        (
            request("a", json!({"country": "XX"})),
            vec!["context.country"],
        ),
        (
            request("a", json!({"device_id": ""})),
            vec!["context.device_id"],
        ),
        (
            request("a", json!({"amount": "1"})),
            vec!["context.currency"],
        ),
        (
            request("a", json!({"currency": "EUR"})),
            vec!["context.amount"],
        ),
        (
            request("a", json!({"amount": "-1", "currency": "eur"})),
            vec!["context.amount", "context.currency"],
        ),
        (
            request("a", json!({"amount": 1, "currency": "EUR"})),
            vec!["context.amount"],
        ),
        (
            request("a", json!({"amount": "0.1234567", "currency": "EUR"})),
            vec!["context.amount"],
        ),
        (request("a", json!({"role": ""})), vec!["context.role"]),
        (request("a", json!({"mood": "good"})), vec!["context.mood"]),
    ] {
        let response = service.decide("ann", body.clone()).await;
        assert_problem(&response, 422, "invalid_request");
        assert_eq!(response.error_fields(), fields, "{body}");
    }
}

#[tokio::test]
async fn repeated_request_returns_the_same_decision() {
    let service = start().await;
    let decide = async |body: Value| {
        let headers = [("idempotency-key", "k")];
        let path = "/v1/subjects/ann/decisions";
        service
            .call_as(DEFAULT_KEY, "POST", path, Some(body), &headers)
            .await
    };
    let first = decide(json!({"action": "login"})).await;
    let again = decide(json!({"action": "login", "context": null})).await;
    assert!(again.is_replayed());
    assert_eq!((again.status, &again.body), (201, &first.body));
    let other = decide(json!({"action": "payment"})).await;
    assert_problem(&other, 422, "idempotency_mismatch");
    let path = format!("/v1/subjects/ann/decisions/{}", first.id());
    service.call("DELETE", &path, None).await;
    let denied = decide(json!({"action": "login"})).await;
    assert_eq!(denied.body["status"], "denied", "its current state");
}

#[tokio::test]
async fn twenty_pending_decisions_are_the_most() {
    let service = start().await;
    let first = service.challenge("ann", "login").await;
    service.advance(100).await;
    for _ in 1..20 {
        service.challenge("ann", "login").await;
    }
    let rejected = service.decide("ann", json!({"action": "login"})).await;
    assert_problem(&rejected, 429, "rate_limited");
    assert_eq!(rejected.body["limit"], "decisions");
    let wait: i64 = rejected
        .header("retry-after")
        .expect("a time")
        .parse()
        .expect("seconds");
    assert!((490..=500).contains(&wait), "{wait}");
    service.call("DELETE", &first.path, None).await;
    service.challenge("ann", "login").await;
    let evicted = service.call("GET", &first.path, None).await;
    assert_status(&evicted, 404);
}

#[tokio::test]
async fn what_is_enrolled_is_known_to_the_rules() {
    let rules = json!([
        {"name": "both", "when": {"enrolled": ["totp", "voice"]}, "decision": "allow"},
        {"name": "mail", "when": {"enrolled": ["email"]}, "decision": "allow"},
        {"name": "stale", "when": {"strong_older_than_minutes": 5}, "decision": "deny"},
        {"name": "rest", "decision": "allow"},
    ]);
    let service = Service::start_with(&[("OTP_RULES", &rules.to_string())]).await;
    let rule = async |subject: &str| {
        let body = json!({"action": "login", "dry_run": true});
        service.decide(subject, body).await.body["rule"].clone()
    };
    assert_eq!(rule("ann").await, "stale", "no strong factor was used");
    let app = service.unconfirmed_totp("ann").await;
    service.verify_for("ann", &phone(1)).await;
    assert_eq!(
        rule("ann").await,
        "stale",
        "an unconfirmed factor does not count"
    );
    let code = app.code_at(service.now().await);
    service.check_factor(&app, &code).await;
    assert_eq!(rule("ann").await, "both");
    service.verify_for("bob", "bob@example.com").await;
    assert_eq!(rule("bob").await, "mail");
    let app = service.active_totp("eve").await;
    assert_eq!(rule("eve").await, "rest");
    service.advance(301).await;
    assert_eq!(rule("eve").await, "stale");
    let code = app.code_at(service.now().await);
    service.check_factor(&app, &code).await;
    assert_eq!(rule("eve").await, "rest");
}

#[tokio::test]
async fn apps_have_rules_of_their_own() {
    let rule = json!([{"name": "shop", "decision": "deny"}]);
    let apps = json!({"shop": {"rules": rule, "decision_ttl_seconds": 60}}).to_string();
    let service = Service::start_with(&[("OTP_APPS", &apps)]).await;
    let path = "/v1/subjects/ann/decisions";
    let body = Some(json!({"action": "login"}));
    let decided = service.call_as(SHOP_KEY, "POST", path, body, &[]).await;
    assert_eq!(decided.body["rule"], "shop");
    let times = ["created_at", "expires_at"].map(|name| unix_seconds(&decided.body[name]));
    assert_eq!(times[1] - times[0], 60);
    let decided = service.decide("ann", json!({"action": "login"})).await;
    assert_eq!(decided.body["rule"], "default");
}

#[tokio::test]
async fn invalid_rules_prevent_the_start() {
    for rules in ["{}", "[]", r#"[{"name":"a","decision":"challenge"}]"#] {
        let started = Service::try_start(&[("OTP_RULES", rules)], None).await;
        let problem = started.err().unwrap_or_default();
        assert!(problem.contains("OTP_RULES"), "{problem}");
    }
}
