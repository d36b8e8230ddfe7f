//! Logs a user in with a one-time passcode: send, show when a resend is possible, check, map
//! errors.
//!
//! ```sh
//! cargo run                    # in another terminal; prints the URL and the API key
//! cargo run -p examples -- http://127.0.0.1:8080 otp_test_local_development_key +12025550143
//! ... --demo                   # reads the code from the local phone instead of asking for it
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What the user reads when the service rejects a call.
fn message(problem: &Value, wait: u64) -> String {
    match problem["code"].as_str().unwrap_or_default() {
        "rate_limited" => format!("Too many codes were requested. Please try again in {wait} s."),
        "invalid_number" => "Please check the number.".into(),
        "country_not_allowed" => "We cannot send codes to this country.".into(),
        "number_not_allowed" => "We cannot send codes to this number.".into(),
        "invalid_code" => "Please enter the code as it was sent.".into(),
        _ => format!(
            "Please try again later. (Request {})",
            problem["request_id"]
        ),
    }
}

struct Api {
    agent: Agent,
    url: String,
    key: String,
}

impl Api {
    /// Returns the response body. The `Idempotency-Key` makes it safe to repeat a call that failed.
    #[expect(
        clippy::disallowed_methods,
        reason = "sleeps in a program without a runtime"
    )]
    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let idempotency_key = uuid::Uuid::new_v4().to_string();
        let mut tries_left = 2;
        loop {
            let request = self.agent.post(format!("{}{path}", self.url));
            let request = request.header("Authorization", format!("Bearer {}", self.key));
            let request = request.header("Idempotency-Key", &idempotency_key);
            let mut wait = 1;
            match request.send_json(body) {
                Ok(mut response) if response.status().is_success() => {
                    return Ok(response.body_mut().read_json()?);
                }
                Ok(mut response) => {
                    if let Some(seconds) = response.headers().get("Retry-After") {
                        wait = seconds.to_str()?.parse()?;
                    }
                    let problem: Value = response.body_mut().read_json()?;
                    let may_repeat = ["unavailable", "in_progress"]
                        .contains(&problem["code"].as_str().unwrap_or(""));
                    if tries_left == 0 || !may_repeat {
                        return Err(message(&problem, wait).into());
                    }
                }
                Err(error) if tries_left == 0 => return Err(error.into()),
                Err(_) => {}
            }
            tries_left -= 1;
            std::thread::sleep(Duration::from_secs(wait));
        }
    }

    /// The code on the local phone, with a typing error at first.
    fn code_on_phone(&self, to: &str, attempt: u32) -> Result<String> {
        // Returns when all due messages are handed over.
        self.post("/local/clock", &json!({"advance_seconds": 0}))?;
        let request = self
            .agent
            .get(format!("{}/local/messages", self.url))
            .query("to", to);
        let phone: Value = request.call()?.body_mut().read_json()?;
        let last = phone["messages"]
            .as_array()
            .and_then(|all| all.last())
            .ok_or("no message")?;
        let code = last["code"].as_str().ok_or("no code")?;
        let wrong_digit = if code.ends_with('0') { "1" } else { "0" };
        Ok(if attempt == 0 {
            code[..code.len() - 1].to_owned() + wrong_digit
        } else {
            code.to_owned()
        })
    }
}

fn login() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, key, to, options @ ..] = arguments.as_slice() else {
        return Err("usage: login URL API_KEY PHONE_NUMBER [--demo]".into());
    };
    let config = Agent::config_builder().http_status_as_error(false);
    let agent = config
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .into();
    let api = Api {
        agent,
        url: url.clone(),
        key: key.clone(),
    };

    // `client_ip`: the address of the end user's device.
    let body = json!({"to": to, "client_ip": "203.0.113.7"});
    let sent = api.post("/v1/verifications", &body)?;
    println!(
        "Code sent to {to}. You can request another one at {}.",
        sent["resend_at"]
    );
    let path = format!(
        "/v1/verifications/{}/check",
        sent["id"].as_str().ok_or("no id")?
    );
    for attempt in 0.. {
        let code = if options.contains(&"--demo".into()) {
            api.code_on_phone(to, attempt)?
        } else {
            println!("Code:");
            std::io::stdin().lines().next().ok_or("no code")??
        };
        let check = api.post(&path, &json!({"code": code}))?;
        if check["valid"] == true {
            println!("Logged in.");
            break;
        }
        if check["status"] != "pending" {
            return Err("This code can no longer be used. Please start again.".into());
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
