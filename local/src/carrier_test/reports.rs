//! The reports about a trial: those that arrive over HTTP, and the polled status of a carrier that
//! has a status API.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use otp::carrier::{Callback, Carriers, ConfiguredCarrier, Report, ReportError};
use otp::domain::address::Address;
use otp::domain::delivery::DeliveryStatus;
use otp::platform::clock::Clock;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::error::CarrierTestError;
use super::mask::Secrets;
use super::printed;

/// Between two polls.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// A request to the callback URL.
struct Received {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    response: tokio::sync::oneshot::Sender<StatusCode>,
}

/// What is needed to follow the reports about one message.
pub(super) struct Reports<'a> {
    pub(super) carrier: &'a ConfiguredCarrier,
    pub(super) carriers: &'a Carriers,
    pub(super) to: &'a Address,
    pub(super) vendor_id: Option<String>,
    /// The path of the callback URL, without the base path of `OTP_PUBLIC_URL`.
    pub(super) path: String,
    pub(super) callback_url: String,
    pub(super) clock: Clock,
    pub(super) secrets: &'a Secrets,
}

/// Listens on this machine.
pub(super) async fn listen(port: u16) -> Result<TcpListener, CarrierTestError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    listener.map_err(CarrierTestError::Port)
}

impl Reports<'_> {
    /// Prints each report until one is final, or `wait` is over.
    pub(super) async fn follow(&self, listener: TcpListener, wait: Duration) {
        if self.carrier.is_sns() || self.carrier.reports_through_sns() {
            printed::line(
                "report    not followed: this kind reports through SNS, see docs/carriers.md",
            );
            return;
        }
        let shown = self.secrets.masked(&self.callback_url);
        printed::line(&format!("waiting   for reports at {shown}"));
        let (sender, mut received) = mpsc::channel(16);
        let server = tokio::spawn(serve(listener, sender));
        let end = Instant::now() + wait;
        let mut poll_at = Instant::now() + POLL_INTERVAL;
        loop {
            let until = if self.vendor_id.is_some() {
                end.min(poll_at)
            } else {
                end
            };
            match timeout_at(until, received.recv()).await {
                Ok(Some(request)) => {
                    let status = self.read(&request);
                    let _ = request.response.send(status.0);
                    if status.1 {
                        break;
                    }
                }
                Ok(None) => sleep_until(until).await,
                Err(_) if until < end => {
                    poll_at += POLL_INTERVAL;
                    if self.poll().await {
                        break;
                    }
                }
                Err(_) => {
                    printed::line("report    no final report in this time");
                    break;
                }
            }
        }
        // The response to the last report is still on its way.
        tokio::task::yield_now().await;
        let _ = timeout_at(Instant::now() + Duration::from_millis(200), server).await;
    }

    /// The status of the response, and whether the report is final.
    fn read(&self, request: &Received) -> (StatusCode, bool) {
        if !request.uri.path().ends_with(&self.path) {
            printed::line(&format!(
                "report    ignored: {} of another message",
                request.method
            ));
            return (StatusCode::NOT_FOUND, false);
        }
        let callback = Callback {
            method: &request.method,
            query: request.uri.query().unwrap_or_default(),
            headers: &request.headers,
            body: &request.body,
            url: &self.callback_url,
        };
        match self.carrier.report(&callback, self.clock.now()) {
            Ok(reports) => (StatusCode::OK, reports.iter().any(print_report)),
            Err(error) => {
                printed::line(&format!("report    rejected: {error}"));
                let status = match error {
                    ReportError::Forged => StatusCode::UNAUTHORIZED,
                    ReportError::Unsigned => StatusCode::SERVICE_UNAVAILABLE,
                    ReportError::Unreadable => StatusCode::BAD_REQUEST,
                };
                (status, false)
            }
        }
    }

    async fn poll(&self) -> bool {
        let Some(vendor_id) = &self.vendor_id else {
            return false;
        };
        let polled = self.carriers.poll_status(self.carrier, vendor_id, self.to);
        let status = polled.await;
        let name = status.map_or("no status", DeliveryStatus::name);
        printed::line(&format!("polled    {name}"));
        status.is_some_and(is_final)
    }
}

/// Prints a report; returns whether it is final.
fn print_report(report: &Report) -> bool {
    let name = report
        .status
        .map_or("of an unknown status", DeliveryStatus::name);
    let fault = if report.is_account_fault {
        ", because of your account"
    } else {
        ""
    };
    printed::line(&format!("report    {name}{fault}"));
    report.status.is_some_and(is_final)
}

fn is_final(status: DeliveryStatus) -> bool {
    status.is_failure() || status == DeliveryStatus::Delivered
}

/// Passes each request on, and responds with the status that comes back.
async fn serve(listener: TcpListener, sender: mpsc::Sender<Received>) {
    let sender = Arc::new(sender);
    let handler = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let sender = sender.clone();
        async move {
            let (response, status) = tokio::sync::oneshot::channel();
            let received = Received {
                method,
                uri,
                headers,
                body,
                response,
            };
            let is_passed_on = sender.send(received).await.is_ok();
            let status = status.await.unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            (status, if is_passed_on { "OK" } else { "" })
        }
    };
    // The process ends soon after an error here.
    let _ = axum::serve(listener, Router::new().fallback(handler)).await;
}
