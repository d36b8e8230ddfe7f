//! What a deployment needs from outside: its public URL, the time, and people who get alarms.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::http::header;
use hyper::{Request, Response, StatusCode};
use otp::platform::clock::Clock;
use otp::platform::clock_check::ClockCheck;
use otp::platform::https;

use super::finding::Finding;
use crate::operator::Deployment;

/// Time for opening a connection, and for the whole request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The clock of this machine, which decides about expiry in commands, against that of the table.
pub(super) async fn clock(deployment: &Deployment) -> Vec<Finding> {
    let url = deployment.dynamodb_url();
    let clock = Clock::default();
    let sent = clock.now();
    let Ok(response) = get(&url).await else {
        let finding = format!("{url} does not respond");
        let advice = "look at the network of this machine, and at AWS Health";
        return vec![Finding::problem("clock", finding, advice)];
    };
    let check = ClockCheck::default();
    let date = response.headers().get(header::DATE);
    check.note(date.and_then(|date| date.to_str().ok()), sent, clock.now());
    match check.result() {
        Ok(()) => vec![],
        Err(error) => {
            let advice = "set the clock of this machine; the functions have their own";
            vec![Finding::problem("clock", error.to_string(), advice)]
        }
    }
}

/// The URL at which carriers reach the callbacks.
pub(super) async fn public_url(deployment: &Deployment) -> Vec<Finding> {
    const CHECK: &str = "callback-url";
    let url = deployment.variable("OTP_PUBLIC_URL").unwrap_or_default();
    if url.is_empty() {
        let finding = "OTP_PUBLIC_URL is not set here";
        let advice = "set it, as for the functions, to check it";
        return vec![Finding::advice(CHECK, finding, advice)];
    }
    let mut findings = vec![];
    if !url.starts_with("https://") && !deployment.is_local() {
        let finding = format!("{url} is not https: reports of carriers can be read on their way");
        let advice = "set OtpPublicUrl to an https URL";
        findings.push(Finding::problem(CHECK, finding, advice));
    }
    let health = format!("{}/healthz", url.trim_end_matches('/'));
    let finding = match get(&health).await {
        Ok(response) if response.status() == StatusCode::OK => return findings,
        Ok(response) => format!("GET {health}: {}", response.status()),
        Err(error) => format!("GET {health}: {error}"),
    };
    let advice =
        "carriers cannot report there: look at the domain, its certificate and its mapping";
    findings.push(Finding::problem(CHECK, finding, advice));
    findings
}

/// The people who get alarms.
pub(super) async fn alarm_subscribers(deployment: &Deployment) -> Option<Finding> {
    const CHECK: &str = "alarms";
    match deployment.alarm_subscribers().await {
        Ok(None | Some(1..)) => None,
        Ok(Some(0)) => Some(Finding::problem(
            CHECK,
            "alarms have no subscriber who has confirmed",
            "set AlarmEmail, and confirm the e-mail that the topic sends",
        )),
        Err(error) => Some(Finding::failed(CHECK, &error)),
    }
}

#[derive(Debug, thiserror::Error)]
enum GetError {
    #[error("not a URL")]
    Url,
    #[error("no response in {} s", REQUEST_TIMEOUT.as_secs())]
    TimeOut,
    #[error("no connection")]
    Connection,
}

async fn get(url: &str) -> Result<Response<hyper::body::Incoming>, GetError> {
    let client = https::client::<Full<Bytes>>(CONNECT_TIMEOUT);
    let request = Request::get(url).body(Full::default());
    let request = request.map_err(|_| GetError::Url)?;
    let response = tokio::time::timeout(REQUEST_TIMEOUT, client.request(request)).await;
    let response = response.map_err(|_| GetError::TimeOut)?;
    response.map_err(|_| GetError::Connection)
}
