//! Subjects: after all kinds of requests about factors and decisions, secrets and backup codes are
//! in the response to their enrolment only, and the log has no subject, code, secret or place.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::scan::contains_word;
use super::traffic::{BAD_KEY, Recorder};
use crate::support::{Authenticator, DEFAULT_KEY, another_code, phone};

const SUBJECT: &str = "subject-canary@example.com";
const PLACES: [&str; 3] = ["device-canary", "LI", "203.0.113.77"];

/// What an enrolment shows once.
fn shown_once(enrolled: &Value) -> BTreeSet<String> {
    let codes = enrolled["codes"].as_array().into_iter().flatten();
    let codes = codes.filter_map(Value::as_str).map(str::to_owned);
    let secret = enrolled["secret"].as_str().map(str::to_owned);
    codes.chain(secret).collect()
}

/// Requests of one subject, with their errors. Returns secrets and codes.
async fn requests(recorder: &Recorder) -> BTreeSet<String> {
    let base = format!("/v1/subjects/{SUBJECT}");
    let mut secrets = BTreeSet::new();
    let enrol = async |body: Value| {
        let path = format!("{base}/factors");
        recorder.call("POST", &path, Some(body)).await
    };
    let app = enrol(json!({"type": "totp", "account": "account-canary", "qr": true})).await;
    let backup = enrol(json!({"type": "backup_codes"})).await;
    secrets.extend(shown_once(&app));
    secrets.extend(shown_once(&backup));
    enrol(json!({"type": "totp", "account": "account-canary", "secret": SUBJECT})).await;
    let authenticator = Authenticator::new(SUBJECT, &app);
    let context = json!({"ip": PLACES[2], "country": PLACES[1], "device_id": PLACES[0]});
    let decision = json!({"action": "login", "context": context});
    let decisions = format!("{base}/decisions");
    let decided = recorder.call("POST", &decisions, Some(decision)).await;
    let now = recorder.service().now().await;
    let (right, wrong) = (authenticator.code_at(now), authenticator.wrong_code_at(now));
    let check = format!("{}/check", authenticator.path);
    for code in [&right, &right, &wrong, &another_code(&right)] {
        let body = json!({"code": code, "decision": decided["id"]});
        recorder.call("POST", &check, Some(body)).await;
    }
    for _ in 0..20 {
        let body = Some(json!({"code": wrong}));
        recorder.call("POST", &check, body).await;
    }
    let backup_path = format!(
        "{base}/factors/{}",
        backup["id"].as_str().unwrap_or_default()
    );
    for code in backup["codes"].as_array().into_iter().flatten().take(2) {
        let body = Some(json!({"code": code}));
        let path = format!("{backup_path}/check");
        recorder.call("POST", &path, body).await;
    }
    secrets.extend([right, wrong]);
    let id = recorder
        .send(json!({"to": phone(1), "subject": SUBJECT}))
        .await;
    let code = recorder.record_codes(&phone(1)).await;
    let body = json!({"code": code, "subject": SUBJECT, "decision": decided["id"]});
    let path = format!("/v1/verifications/{id}/check");
    recorder.call("POST", &path, Some(body)).await;
    errors(recorder, &base, &secrets).await;
    for (method, path) in [
        ("GET", authenticator.path.clone()),
        ("GET", format!("{base}/factors")),
        ("GET", base.clone()),
        ("POST", format!("{base}/unlock")),
        ("DELETE", backup_path),
        ("DELETE", base.clone()),
    ] {
        recorder.call(method, &path, None).await;
    }
    secrets.insert(code);
    secrets
}

/// Rejected requests, with secrets and codes where a client may put them by mistake.
async fn errors(recorder: &Recorder, base: &str, secrets: &BTreeSet<String>) {
    for secret in secrets {
        for (path, body) in [
            ("factors".to_owned(), json!({"type": secret})),
            (format!("factors/{secret}/check"), json!({"code": secret})),
            (
                "decisions".to_owned(),
                json!({"action": "a", "context": {"country": secret}}),
            ),
            (secret.clone(), json!({})),
        ] {
            let path = format!("{base}/{path}");
            recorder.call("POST", &path, Some(body)).await;
        }
        let path = format!("{base}/decisions/{secret}");
        recorder.call("DELETE", &path, None).await;
        // A response names unknown fields; the log does not.
        let path = format!("{base}/factors");
        let body = Some(json!({"type": "totp", secret: 1}));
        recorder.service().call("POST", &path, body).await;
    }
    let body = Some(json!({"type": "totp", "account": "a"}));
    let path = format!("{base}/factors");
    recorder.call_as(BAD_KEY, "POST", &path, body, &[]).await;
}

#[tokio::test]
async fn secrets_of_factors_appear_in_their_enrolment_only() {
    let recorder = Recorder::start().await;
    let secrets = requests(&recorder).await;
    assert!(secrets.len() > 12, "{secrets:?}");
    let state = recorder.service().state().await.to_string();
    for (request, response) in recorder.responses.lock().expect("no poison").iter() {
        let body = response.body.to_string();
        let is_enrolment = response.status == 201 && request.ends_with("/factors");
        for secret in secrets.iter().filter(|_| !is_enrolment) {
            assert!(!contains_word(&body, secret), "{request}: {body}");
        }
    }
    let printed = recorder.process.kill().await;
    assert!(printed.contains("guess_budget"), "{printed}");
    let mut hidden: BTreeSet<_> = secrets;
    hidden.extend(PLACES.map(str::to_owned));
    let labels = [SUBJECT, "subject-canary", "account-canary", DEFAULT_KEY];
    hidden.extend(labels.map(str::to_owned));
    for hidden in &hidden {
        assert!(!contains_word(&printed, hidden), "the log has {hidden}");
        assert!(!contains_word(&state, hidden), "the table has {hidden}");
    }
}
