//! Check: by sid and by number, and what it reveals.

use serde_json::json;

use crate::support::twilio::{assert_checked, assert_error, native_id, sid};
use crate::support::{
    NO_SEND_LIMITS, TO, Twilio, another_code, assert_fields, assert_status, no_send_limits_and,
    phone,
};

#[tokio::test]
async fn right_code_is_valid_once() {
    let twilio = Twilio::start(&[]).await;
    let (first, code) = twilio.open(TO).await;
    let typed = format!(" {}-{} ", &code[..3], &code[3..]);
    let checked = twilio.check(TO, &typed).await;
    assert_checked(&checked, "approved", true);
    assert_fields(
        &checked.body,
        json!({
            "sid": first, "to": TO, "channel": "sms", "amount": null, "payee": null,
            "sna_attempts_error_codes": [], "account_sid": twilio.account_sid,
        }),
    );
    for again in [
        twilio.check(TO, &code).await,
        twilio.check_sid(&first, &code).await,
    ] {
        assert_error(&again, 404, 20404, "not_found");
        assert_eq!(again.body["details"]["status"], "approved");
        let path = format!("/Services/{}/VerificationCheck", twilio.service_sid);
        let message = format!("The requested resource {path} was not found");
        assert_eq!(again.body["message"], message);
    }
}

#[tokio::test]
async fn number_is_read_as_people_write_it() {
    let twilio = Twilio::start(&NO_SEND_LIMITS).await;
    for to in [
        "+1 (202) 555-0143",
        "\u{202a}+1\u{a0}202.555.0143\u{202c}",
        "＋１２０２５５５０１４３",
    ] {
        let created = twilio.create(to).await;
        assert_status(&created, 201);
        assert_eq!(created.body["to"], TO);
        let code = twilio.service.code(TO).await;
        assert_checked(&twilio.check(to, &code).await, "approved", true);
    }
}

#[tokio::test]
async fn both_spellings_of_a_line_find_its_verification() {
    let twilio = Twilio::start(&NO_SEND_LIMITS).await;
    for (created, checked) in [
        ("+5215512345678", "+525512345678"),
        ("+525512345678", "+5215512345678"),
        ("+541169071234", "+5491169071234"),
        ("+5491169071234", "+541169071234"),
    ] {
        let response = twilio.create(created).await;
        assert_status(&response, 201);
        let to = response.body["to"].as_str().expect("a number");
        let code = twilio.service.code(to).await;
        assert_checked(&twilio.check(checked, &code).await, "approved", true);
    }
    let fixed = "+541143211234";
    let created = twilio.create_with(fixed, &[("Channel", "call")]).await;
    assert_status(&created, 201);
    let code = twilio
        .service
        .code(created.body["to"].as_str().expect("a number"))
        .await;
    assert_checked(&twilio.check(fixed, &code).await, "approved", true);
}

#[tokio::test]
async fn number_and_sid_must_name_the_same_verification() {
    let twilio = Twilio::start(&[]).await;
    let (first, code) = twilio.open(TO).await;
    let both = |to| {
        [
            ("To", to),
            ("VerificationSid", first.as_str()),
            ("Code", code.as_str()),
        ]
    };
    let other = phone(1);
    let mismatch = twilio.post("/VerificationCheck", &both(&other)).await;
    assert_error(&mismatch, 404, 20404, "not_found");
    let checked = twilio.post("/VerificationCheck", &both(TO)).await;
    assert_checked(&checked, "approved", true);
}

#[tokio::test]
async fn wrong_codes_use_up_the_attempts() {
    let twilio = Twilio::start(&[]).await;
    let (first, code) = twilio.open(TO).await;
    let wrong = another_code(&code);
    for _ in 0..5 {
        assert_checked(&twilio.check(TO, &wrong).await, "pending", false);
    }
    for checked in [
        twilio.check(TO, &code).await,
        twilio.check_sid(&first, &wrong).await,
    ] {
        assert_error(&checked, 429, 60202, "not_pending");
        assert_eq!(checked.body["message"], "Max check attempts reached");
        let wait = checked.body["details"]["retry_after"]
            .as_i64()
            .expect("seconds");
        assert!((290..=300).contains(&wait), "{wait}");
    }
    let fetched = twilio.fetch(&first).await;
    assert_fields(
        &fetched.body,
        json!({"status": "max_attempts_reached", "valid": false}),
    );
    twilio.service.advance(300).await;
    for gone in [twilio.check(TO, &code).await, twilio.fetch(&first).await] {
        assert_error(&gone, 404, 20404, "not_found");
        assert_eq!(gone.body["details"]["status"], "expired");
    }
}

#[tokio::test]
async fn input_that_is_no_code_costs_no_attempt() {
    let twilio = Twilio::start(&[]).await;
    let (first, code) = twilio.open(TO).await;
    for typed in ["12a456", "123", "12345678901", "1.2345"] {
        let checked = twilio.check(TO, typed).await;
        assert_error(&checked, 400, 60200, "invalid_code");
        assert_eq!(checked.body["message"], "Invalid parameter `Code`");
    }
    let alone = [("To", TO), ("Code", code.as_str()), ("Amount", "€1")];
    let checked = twilio.post("/VerificationCheck", &alone).await;
    assert_error(&checked, 400, 60206, "invalid_request");
    assert_eq!(
        checked.body["message"],
        "'Amount' & 'Payee' params are required"
    );
    assert_eq!(checked.body["details"]["errors"][0]["field"], "Payee");
    let shown = twilio.service.show(&native_id(&first)).await;
    assert_eq!(shown.body["attempts_left"], 5);
    assert_checked(&twilio.check(TO, &code).await, "approved", true);
}

#[tokio::test]
async fn payment_that_differs_is_a_wrong_code() {
    let twilio = Twilio::start(&NO_SEND_LIMITS).await;
    let payment = [("Amount", "€12.50"), ("Payee", "Shop")];
    assert_status(&twilio.create_with(TO, &payment).await, 201);
    let code = twilio.service.code(TO).await;
    let check = async |amount: Option<&str>| {
        let mut parameters = vec![("To", TO), ("Code", code.as_str())];
        parameters.extend(
            amount
                .iter()
                .flat_map(|amount| [("Amount", *amount), ("Payee", "Shop")]),
        );
        twilio.post("/VerificationCheck", &parameters).await
    };
    let other = check(Some("€99")).await;
    assert_checked(&other, "pending", false);
    assert_fields(&other.body, json!({"amount": "€99", "payee": "Shop"}));
    let none = check(None).await;
    assert_checked(&none, "pending", false);
    assert_eq!(
        none.body["amount"],
        json!(null),
        "that of the verification is not shown"
    );
    assert_checked(&check(Some("€12.50")).await, "approved", true);
    let (_, code) = twilio.open(TO).await;
    let paid = [
        ("To", TO),
        ("Code", &code),
        ("Amount", "€1"),
        ("Payee", "Shop"),
    ];
    let checked = twilio.post("/VerificationCheck", &paid).await;
    assert_checked(&checked, "pending", false);
}

#[tokio::test]
async fn other_purpose_looks_like_a_wrong_code() {
    let twilio = Twilio::start(&[]).await;
    let body = json!({"to": TO, "purpose": "payment"});
    let id = twilio.service.open_id(body).await;
    let code = twilio.service.code(TO).await;
    assert_checked(&twilio.check(TO, &code).await, "pending", false);
    let native = json!({"code": code, "purpose": "payment"});
    let checked = twilio.service.check_body(&id, native).await;
    assert_fields(&checked.body, json!({"valid": true, "attempts_left": 3}));
}

#[tokio::test]
async fn recipients_without_a_verification_look_alike() {
    let twilio = Twilio::start(&[]).await;
    let (first, code) = twilio.open(TO).await;
    let malformed = format!("{first}0");
    let unknown = format!("VE{}", "0".repeat(32));
    let mut bodies = vec![];
    for sid in [malformed.as_str(), &unknown, "VE1", "abc"] {
        let mut checked = twilio.check_sid(sid, &code).await;
        assert_error(&checked, 404, 20404, "not_found");
        checked.body["details"]["request_id"] = json!("");
        bodies.push(checked.body);
    }
    let mut never_seen = twilio.check(&phone(1), &code).await;
    never_seen.body["details"]["request_id"] = json!("");
    assert!(
        bodies.iter().all(|body| *body == never_seen.body),
        "{bodies:?} {never_seen:?}"
    );
    assert_status(&twilio.service.forget(TO).await, 200);
    assert_error(&twilio.check(TO, &code).await, 404, 20404, "not_found");
}

#[tokio::test]
async fn sid_is_read_in_any_case() {
    let twilio = Twilio::start(&[]).await;
    let (first, code) = twilio.open(TO).await;
    let upper_case = format!("VE{}", first[2..].to_ascii_uppercase());
    assert_eq!(sid(&twilio.fetch(&upper_case).await), first);
    let service = format!("VA{}", twilio.service_sid[2..].to_ascii_uppercase());
    let path = format!("/v2/Services/{service}/VerificationCheck");
    let body = Twilio::form(&[("VerificationSid", &upper_case), ("Code", &code)]);
    assert_checked(&twilio.raw("POST", &path, body).await, "approved", true);
}

#[tokio::test]
async fn email_recipient_is_found_in_any_case() {
    let twilio = Twilio::start(&no_send_limits_and(&[])).await;
    let create = [("To", "Ann@Example.com"), ("Channel", "email")];
    assert_status(&twilio.post("/Verifications", &create).await, 201);
    let code = twilio.service.code("Ann@example.com").await;
    let fetched = twilio.fetch("ann%40example.com").await;
    assert_eq!(fetched.body["to"], "Ann@example.com");
    assert_checked(
        &twilio.check("ANN@example.COM", &code).await,
        "approved",
        true,
    );
}
