//! `lambda-otp twilio-check`: makes the requests of Twilio's SDKs against a deployed stack, and
//! prints what a program would see. It sends one message, to a number that you name. The API key is
//! read from a prompt or from standard input.

mod client;

use std::io::Write as _;
use std::process::ExitCode;

use otp::platform::logging::causes;
use serde_json::Value;

use super::prompt;
use client::{Call, Client, NoResponse, Seen};

/// Options of `twilio-check`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// URL of the stack, as the program will have it
    #[arg(long, value_name = "URL", value_parser = base_url)]
    base_url: String,
    /// Account SID, as the program will have it: that of the app, or any `SK…`
    #[arg(long, value_name = "SID")]
    account_sid: String,
    /// Phone that receives the message, in E.164
    #[arg(long, value_name = "NUMBER")]
    to: String,
    /// Code that the phone receives, if it is known before; else it is read from standard input
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
}

fn base_url(url: &str) -> Result<String, &'static str> {
    let url = url.trim_end_matches('/');
    otp::platform::url::is_base_url(url)
        .then(|| url.to_owned())
        .ok_or("must be an http or https URL with a host, without user, query and fragment")
}

/// Runs the command; returns the exit code of the process.
pub(super) async fn run(arguments: Arguments) -> ExitCode {
    let mut report = Report::default();
    match check(&arguments, &mut report).await {
        Ok(()) => println!("{} of {} as expected", report.expected, report.all),
        Err(stopped) => {
            eprintln!("stopped: {}", causes(&stopped));
            return ExitCode::FAILURE;
        }
    }
    match report.expected == report.all {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// What was printed.
#[derive(Default)]
struct Report {
    all: usize,
    expected: usize,
}

impl Report {
    /// Prints what the program sees of a request, and whether it is one of `expected`: the status,
    /// and the number of an error.
    fn note(&mut self, request: &str, seen: &Seen, expected: &[(u16, u64)]) -> bool {
        let is_expected = expected.contains(&(seen.status, seen.number()));
        self.all += 1;
        self.expected += usize::from(is_expected);
        let word = if is_expected { "ok  " } else { "FAIL" };
        println!("{word} {request}: {}", seen.summary());
        is_expected
    }
}

/// Why the check cannot go on.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    NoResponse(#[from] NoResponse),
    #[error("{0} was not as expected")]
    Unexpected(&'static str),
    #[error("no API key was entered; without a terminal it is the first line of standard input")]
    NoKey(#[source] std::io::Error),
    #[error("no code was entered")]
    NoCode,
}

/// Success, which has no number.
const OK: (u16, u64) = (200, 0);
const CREATED: (u16, u64) = (201, 0);
const NOT_FOUND: (u16, u64) = (404, 20404);

async fn check(arguments: &Arguments, report: &mut Report) -> Result<(), Stopped> {
    let api_key = prompt::line("API key of the app").map_err(Stopped::NoKey)?;
    let client = Client::new(&arguments.base_url, &arguments.account_sid, &api_key);
    let app = client.send(Call::app()).await?;
    if !report.note("app of the key", &app, &[OK]) {
        return Err(Stopped::Unexpected("the app of the key"));
    }
    let service = text(&app.body["twilio"]["service_sid"]);
    let service = format!("/v2/Services/{service}");
    let seen = client.send(Call::get(&service)).await?;
    report.note("service", &seen, &[OK]);
    let to = arguments.to.as_str();
    let verifications = format!("{service}/Verifications");
    let create = || Call::post(&verifications, &[("To", to), ("Channel", "sms")]);
    let created = client.send(create()).await?;
    if !report.note("create", &created, &[CREATED]) {
        return Err(Stopped::Unexpected("the create"));
    }
    let sid = text(&created.body["sid"]);
    let verification = format!("{verifications}/{sid}");
    let seen = client.send(Call::get(&verification)).await?;
    report.note("fetch", &seen, &[OK]);
    let seen = client.send(create()).await?;
    report.note("create again at once", &seen, &[CREATED, (429, 20429)]);
    let code = match &arguments.code {
        Some(code) => code.clone(),
        None => read_code()?,
    };
    let wrong = another(&code);
    for (request, code, expected) in [
        ("wrong code, by number", &wrong, OK),
        ("right code, by number", &code, OK),
        ("right code again", &code, NOT_FOUND),
    ] {
        let path = format!("{service}/VerificationCheck");
        let call = Call::post(&path, &[("To", to), ("Code", code)]);
        report.note(request, &client.send(call).await?, &[expected]);
    }
    let canceled = Call::post(&verification, &[("Status", "canceled")]);
    let seen = client.send(canceled).await?;
    report.note("cancel after approval", &seen, &[NOT_FOUND]);
    rejections(&client, report, &service).await
}

/// Requests that send nothing.
async fn rejections(client: &Client, report: &mut Report, service: &str) -> Result<(), Stopped> {
    let verifications = format!("{service}/Verifications");
    let other = format!("/v2/Services/VA{}", "0".repeat(32));
    for (request, call, expected) in [
        (
            "number that is not one",
            Call::post(&verifications, &[("To", "+1202"), ("Channel", "sms")]),
            (400, 60200),
        ),
        (
            "create without a number",
            Call::post(&verifications, &[("Channel", "sms")]),
            (400, 60200),
        ),
        ("another service", Call::get(&other), NOT_FOUND),
        ("list of services", Call::get("/v2/Services"), NOT_FOUND),
        (
            "wrong auth token",
            Call::get(service).with_wrong_secret(),
            (401, 20003),
        ),
    ] {
        report.note(request, &client.send(call).await?, &[expected]);
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The code that arrives on the phone.
fn read_code() -> Result<String, Stopped> {
    print!("code on the phone: ");
    let _ = std::io::stdout().flush();
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    let code = line.trim();
    match read {
        Ok(_) if !code.is_empty() => Ok(code.to_owned()),
        _ => Err(Stopped::NoCode),
    }
}

/// Another code of the same length, of either alphabet.
fn another(code: &str) -> String {
    let mut characters: Vec<char> = code.chars().collect();
    if let Some(last) = characters.last_mut() {
        *last = if *last == '2' { '3' } else { '2' };
    }
    characters.into_iter().collect()
}
