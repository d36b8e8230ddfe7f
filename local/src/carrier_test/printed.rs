//! What a trial prints on standard output.

use std::io::{self, Write as _};

use otp::carrier::{Receipt, Trial};

use super::mask::Secrets;

/// Longest body of a response that is printed.
const BODY_CHARS_MAX: usize = 4096;

/// Prints the request, the response and what it means.
pub(super) fn trial(trial: &Trial, secrets: &Secrets) {
    let mut text = String::new();
    match &trial.request {
        Some(request) => {
            let head = format!("{} {}", request.method(), request.uri());
            text += &section("request", &secrets.masked(&head));
            text += &headers(request.headers(), secrets);
            text += &body(&secrets.masked(request.body()));
        }
        None => text += &section("request", "by the SDK of AWS"),
    }
    match &trial.response {
        Some(response) => {
            text += &section("response", &response.status().to_string());
            text += &headers(response.headers(), secrets);
            // Masked before it is cut: half a credential is not recognized.
            let shown = secrets.masked(&String::from_utf8_lossy(response.body()));
            let shown: String = shown.chars().take(BODY_CHARS_MAX).collect();
            text += &body(&shown);
        }
        None => {
            let error = trial.error.as_deref().unwrap_or("read by the SDK of AWS");
            text += &section("response", &secrets.masked(error));
        }
    }
    line(&format!(
        "{text}{}",
        section("class", &class(&trial.receipt))
    ));
}

/// Prints a line. A closed standard output ends nothing.
pub(super) fn line(text: &str) {
    let _ = writeln!(io::stdout(), "{}", text.trim_end());
}

fn section(name: &str, text: &str) -> String {
    format!("{name:<9} {text}\n")
}

fn headers(headers: &axum::http::HeaderMap, secrets: &Secrets) -> String {
    let lines = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let value = secrets.masked_header(name.as_str(), &value);
        format!("{:<9} {name}: {value}\n", "")
    });
    lines.collect()
}

fn body(text: &str) -> String {
    let lines = text.lines().map(|line| format!("{:<9} {line}\n", ""));
    format!("\n{}\n", lines.collect::<String>())
}

/// What follows from a response, as docs/carriers.md has it.
fn class(receipt: &Receipt) -> String {
    match receipt {
        Receipt::Accepted => "accepted: the carrier has the message",
        Receipt::Permanent => "permanent: about this recipient; no other carrier is tried",
        Receipt::Blocked => "blocked: your own block at the carrier; no other carrier is tried",
        Receipt::Transient {
            retry_after_seconds: Some(seconds),
        } => return format!("transient: the next carrier is tried; not before {seconds} seconds"),
        Receipt::Transient {
            retry_after_seconds: None,
        } => "transient: the next carrier is tried at once",
        Receipt::Misconfigured => "misconfigured: sender, coverage, template or settings",
        Receipt::AccountRejected => "account rejected: credentials or balance",
        Receipt::Unknown => "unknown: the carrier may or may not have the message",
    }
    .to_owned()
}
