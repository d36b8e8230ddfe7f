//! Logs a user in with a one-time passcode: `cargo run -p examples -- URL API_KEY PHONE_NUMBER`

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Makes a POST request. The `Idempotency-Key` makes it safe to repeat one whose response was lost.
#[expect(
    clippy::disallowed_methods,
    reason = "sleeps in a program without a runtime"
)]
fn call(agent: &Agent, url: &str, key: &str, body: &Value) -> Result<Value> {
    let idempotency_key = uuid::Uuid::new_v4().to_string();
    let mut tries_left = 2;
    loop {
        let request = agent.post(url);
        let request = request.header("Authorization", format!("Bearer {key}"));
        let request = request.header("Idempotency-Key", &idempotency_key);
        let mut wait = 1;
        match request.send_json(body) {
            Ok(mut response) => {
                let document: Value = response.body_mut().read_json()?;
                if response.status().is_success() {
                    return Ok(document);
                }
                if let Some(seconds) = response.headers().get("Retry-After") {
                    wait = seconds.to_str()?.parse()?;
                }
                let code = document["code"].as_str().unwrap_or_default();
                if tries_left == 0 || !["unavailable", "in_progress"].contains(&code) {
                    let request_id = document["request_id"].as_str().unwrap_or_default();
                    return Err(message(code, request_id, wait).into());
                }
            }
            // No connection, or no response in time.
            Err(error) if tries_left == 0 => return Err(error.into()),
            Err(_) => {}
        }
        tries_left -= 1;
        std::thread::sleep(Duration::from_secs(wait));
    }
}

/// What the user reads. `detail` is for developers.
fn message(code: &str, request_id: &str, wait: u64) -> String {
    match code {
        "rate_limited" => format!("Too many codes were requested. Please try again in {wait} s."),
        "invalid_number" => "Please check the number.".into(),
        "number_not_allowed" => "We cannot send codes to this number.".into(),
        "country_not_allowed" => "We cannot send codes to this country.".into(),
        "invalid_code" => "Please enter the code as it was sent.".into(),
        _ => format!("Please try again later. (Request {request_id})"),
    }
}

fn login() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, key, to] = arguments.as_slice() else {
        return Err("usage: login URL API_KEY PHONE_NUMBER".into());
    };
    let config = Agent::config_builder().http_status_as_error(false);
    let timeout = Some(Duration::from_secs(10));
    let agent: Agent = config.timeout_global(timeout).build().into();

    // `client_ip` is the address of the user's device. Keep the id in the user's session on your
    // server.
    let body = json!({"to": to, "client_ip": "203.0.113.7"});
    let sent = call(&agent, &format!("{url}/v1/verifications"), key, &body)?;
    let id = sent["id"].as_str().ok_or("no id")?;
    let resend_at = sent["resend_at"].as_str().unwrap_or("no time");
    println!("Code sent to {to}. You can request another one at {resend_at}.");

    let check_url = format!("{url}/v1/verifications/{id}/check");
    for code in std::io::stdin().lines() {
        let check = call(&agent, &check_url, key, &json!({"code": code?}))?;
        if check["valid"] == true {
            println!("Logged in.");
            break;
        }
        if check["status"] != "pending" {
            return Err("This code can no longer be used. Please request a new one.".into());
        }
        println!("Wrong code. Attempts left: {}.", check["attempts_left"]);
    }
    Ok(())
}

fn main() -> ExitCode {
    match login() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
