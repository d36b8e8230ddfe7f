//! A service whose first carrier is a stand-in for a vendor.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use local::Wires;
use serde_json::{Value, json};

use super::aws;
use super::vendor::{CALLBACK_TOKEN, DEVICE, Vendor, VendorMessage, VendorResponse};
use crate::support::listener::{Listener, Request, response};
use crate::support::{HttpCarrier, Service, phone, with};

/// What a vendor does before it responds.
type BeforeResponse = Box<dyn FnOnce(Request) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// The server of a vendor. It replaces SNS as well: it serves the certificate and accepts
/// confirmations.
pub struct VendorServer {
    listener: Listener,
    response: Arc<Mutex<VendorResponse>>,
    requests: Arc<Mutex<Vec<Request>>>,
    before_response: Arc<Mutex<Option<BeforeResponse>>>,
}

impl VendorServer {
    pub async fn start(first: VendorResponse) -> Self {
        let (current, requests) = (Arc::new(Mutex::new(first)), Arc::default());
        let (shared, received) = (Arc::clone(&current), Arc::clone(&requests));
        let before_response: Arc<Mutex<Option<BeforeResponse>>> = Arc::default();
        let before = Arc::clone(&before_response);
        let listener = Listener::open(0, move |request: Request| {
            let is_certificate = request.path.ends_with(".pem");
            let (status, body) = *lock(&shared);
            lock::<Vec<Request>>(&received).push(request.clone());
            let before = lock(&before).take();
            async move {
                if let Some(before) = before {
                    before(request).await;
                }
                if is_certificate {
                    response(200, &[], aws::CERTIFICATE)
                } else {
                    response(status, &[], body)
                }
            }
        });
        Self {
            listener: listener.await,
            response: current,
            requests,
            before_response,
        }
    }

    pub fn url(&self) -> String {
        self.listener.url()
    }

    /// What it responds with from now on; returns what it responded with before.
    pub fn respond_with(&self, response: VendorResponse) -> VendorResponse {
        std::mem::replace(&mut *lock(&self.response), response)
    }

    /// Does this once, before it responds to the next request.
    pub fn before_response<F>(&self, action: impl FnOnce(Request) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let action: BeforeResponse = Box::new(move |request| Box::pin(action(request)));
        *lock(&self.before_response) = Some(action);
    }

    /// The messages that it received, in order.
    pub fn messages(&self) -> Vec<Request> {
        lock(&self.requests)
            .iter()
            .filter(|request| request.method == "POST")
            .cloned()
            .collect()
    }

    /// The paths of the GET requests that it received.
    pub fn get_requests(&self) -> Vec<String> {
        lock(&self.requests)
            .iter()
            .filter(|request| request.method == "GET")
            .map(|request| request.path.clone())
            .collect()
    }
}

/// A service with one vendor, and a second carrier after it.
pub struct VendorSetup {
    pub service: Service,
    pub server: VendorServer,
    pub second: HttpCarrier,
}

impl VendorSetup {
    pub async fn start(vendor: &Vendor) -> Self {
        Self::start_with(vendor, &json!({}), &[]).await
    }

    /// With these variables.
    pub async fn start_for(vendor: &Vendor, variables: &[(&str, &str)]) -> Self {
        Self::start_with(vendor, &json!({}), variables).await
    }

    /// With these settings of the second carrier, and these variables.
    pub async fn start_with(vendor: &Vendor, of_second: &Value, more: &[(&str, &str)]) -> Self {
        let (server, second) = (
            VendorServer::start(vendor.accepted).await,
            HttpCarrier::start("second").await.with_timeout_ms(5_000),
        );
        let mut entry = vendor.settings.clone();
        entry["kind"] = vendor.kind.into();
        entry["name"] = vendor.name().into();
        if vendor.kind != "sns" {
            entry["base_url"] = server.url().into();
        }
        let carriers = json!([entry, with(second.entry(), of_second)]).to_string();
        let key = data_encoding::BASE64.encode(&[7; 32]);
        let seal = json!({"current": "k1", "keys": {"k1": key}});
        let secrets =
            json!({"seal": seal, "lookup": key, "carriers": {vendor.name(): vendor.secrets}})
                .to_string();
        let mut variables = vec![
            ("OTP_CARRIERS", carriers.as_str()),
            ("OTP_SECRETS", &secrets),
            ("OTP_COOLDOWN_SECONDS", "0"),
        ];
        variables.extend(more);
        let wires = Wires {
            sns: Some(server.url()),
            ..Wires::default()
        };
        let service = Service::try_start_behind(&variables, None, wires).await;
        Self {
            service: service.unwrap_or_else(|error| panic!("{}: {error}", vendor.kind)),
            server,
            second,
        }
    }

    /// Opens a verification by the vendor's channel and waits for the handover; returns its id.
    pub async fn open(&self, vendor: &Vendor, to: &str) -> String {
        let device = (vendor.channel == "push").then_some(DEVICE);
        let body = json!({"to": to, "channel": vendor.channel, "push_to": device});
        let sent = self.service.send_body(body).await;
        assert_eq!(
            sent.status, 201,
            "{} {}: {sent:?}",
            vendor.kind, vendor.channel
        );
        self.service.settle().await;
        sent.id()
    }

    /// Status and carrier of the latest delivery.
    pub async fn delivery(&self, id: &str) -> (String, String) {
        self.service.settle().await;
        let shown = self.service.show(id).await.body;
        let text = |name: &str| {
            shown["delivery"][name]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        (text("status"), text("carrier"))
    }

    /// The first message that the vendor received.
    pub async fn message(&self, vendor: &Vendor) -> VendorMessage {
        let body = parsed(&self.server.messages()[0]);
        let text = |at: &str| {
            body.pointer(at)
                .and_then(Value::as_str)
                .unwrap_or_else(|| panic!("{}: no {at} in {body}", vendor.kind))
                .to_owned()
        };
        let account_url = || {
            format!(
                "{}/v1/callbacks/{}/{CALLBACK_TOKEN}",
                self.service.base,
                vendor.name()
            )
        };
        VendorMessage {
            url: vendor.url.map_or_else(account_url, text),
            reference: vendor
                .reference
                .map(|at| text(at).trim_start_matches("m=").to_owned())
                .unwrap_or_default(),
            now: self.service.now().await,
        }
    }

    pub async fn stored_state(&self) -> Value {
        self.service.settle().await;
        let state = self.service.state().await;
        json!([state["table"], state["queue"], state["dead_letters"]])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The JSON document or the form of a request.
pub fn parsed(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_else(|_| {
        form_urlencoded::parse(&request.body)
            .map(|(name, value)| (name.into_owned(), Value::from(value)))
            .collect()
    })
}

pub fn recipient(vendor: &Vendor, n: u32) -> String {
    match (vendor.kind, vendor.channel) {
        (_, "email") => format!("user{n}@example.net"),
        // A landline of Paris.
        ("smsbox", "voice") => format!("+3314{:07}", n * 10_007),
        _ => phone(n),
    }
}

/// The first six digits in a row.
pub fn code(text: &str) -> String {
    // The markup contains digits as well.
    let text = text.rsplit("<Say").next().unwrap_or_default();
    let mut words = text.split(|c: char| !c.is_ascii_digit());
    // In a call they are separate words.
    let spoken = || {
        text.split(|c: char| !c.is_ascii_digit())
            .filter(|word| word.len() == 1)
            .take(6)
            .collect()
    };
    words
        .find(|word| word.len() == 6)
        .map_or_else(spoken, str::to_owned)
}
