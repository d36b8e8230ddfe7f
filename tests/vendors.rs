//! Vendors: each kind of carrier against a stand-in for its vendor, on another port. A message goes out as the vendor
//! documents it, every class of its answers leads where it should, and its report ends the delivery; a forged one leaves no
//! trace. What the vendors say and want is in the files below; here is what holds for all of them.

mod aws;
mod foreign;
mod signed;
mod silent;
mod unsigned;

use std::sync::{Arc, Mutex, PoisonError};

use local::Wires;
use serde_json::{Value, json};

use crate::carrier::Carrier;
use crate::given::phone;
use crate::harness::{Answer, Service};
use crate::listener::{Listener, Request, response};

const TO: &str = "+33612345678";
const EMAIL: &str = "user@example.net";
/// In the URL of an account, for the vendors that know only one.
const CALLBACK_TOKEN: &str = "callback-token-for-tests-0001";

/// What a vendor answers: status and body.
type Said = (u16, &'static str);

/// A vendor, as it documents itself.
struct Vendor {
    kind: &'static str,
    channel: &'static str,
    /// In `OTP_CARRIERS`, beside `kind` and `base_url`.
    settings: Value,
    /// In `OTP_SECRETS`, under its name.
    secrets: Value,
    path: &'static str,
    /// Headers of our request, or how their values begin.
    headers: Vec<(&'static str, String)>,
    /// Where something stands in the body, and what.
    fields: Vec<(&'static str, Value)>,
    /// Where the text or the code stands.
    text: &'static str,
    /// Where the callback URL stands; without one it is the account's.
    url: Option<&'static str>,
    /// Where our reference stands.
    reference: Option<&'static str>,
    accepted: Said,
    permanent: Said,
    transient: Said,
    misconfigured: Said,
    unreadable: Said,
    /// Its report that the message was delivered.
    report: fn(&Message) -> Posted,
    /// Words of the report and what a forger makes of them, where a signature covers them.
    altered: Option<(&'static str, &'static str)>,
}

impl Vendor {
    /// Its name in `OTP_CARRIERS`, where no `_` may stand.
    fn name(&self) -> String {
        self.kind.replace('_', "-")
    }
}

/// A message as its vendor knows it.
struct Message {
    url: String,
    reference: String,
    /// The service's time.
    now: i64,
}

/// A report on its way. `url` is whole.
#[derive(Clone)]
struct Posted {
    method: &'static str,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Posted {
    async fn send(&self, service: &Service) -> Answer {
        let path = self
            .url
            .strip_prefix(&service.base)
            .unwrap_or_else(|| panic!("{} is not at {}", self.url, service.base));
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        service
            .raw(self.method, path, &headers, self.body.clone())
            .await
    }
}

/// The vendor's own port; it is SNS as well, which has certificates and confirms subscriptions.
struct Desk {
    listener: Listener,
    says: Arc<Mutex<Said>>,
    taken: Arc<Mutex<Vec<Request>>>,
}

impl Desk {
    async fn open(says: Said) -> Self {
        let (says, taken) = (Arc::new(Mutex::new(says)), Arc::new(Mutex::new(vec![])));
        let (word, list) = (says.clone(), taken.clone());
        let listener = Listener::open(0, move |request| {
            let (is_certificate, (status, body)) = (request.path.ends_with(".pem"), *lock(&word));
            lock(&list).push(request);
            async move {
                if is_certificate {
                    response(200, &[], aws::CERTIFICATE)
                } else {
                    response(status, &[], body)
                }
            }
        });
        Self {
            listener: listener.await,
            says,
            taken,
        }
    }

    /// What it was handed, in order.
    fn taken(&self) -> Vec<Request> {
        lock(&self.taken)
            .iter()
            .filter(|request| request.method == "POST")
            .cloned()
            .collect()
    }

    /// What was fetched from it as from SNS.
    fn fetched(&self) -> Vec<String> {
        lock(&self.taken)
            .iter()
            .filter(|request| request.method == "GET")
            .map(|request| request.path.clone())
            .collect()
    }
}

/// A service with one vendor, and another carrier behind it.
struct Stand {
    service: Service,
    desk: Desk,
    second: Carrier,
}

impl Stand {
    async fn open(vendor: &Vendor) -> Self {
        let (desk, second) = (
            Desk::open(vendor.accepted).await,
            Carrier::start("second").await,
        );
        let mut entry = vendor.settings.clone();
        entry["kind"] = vendor.kind.into();
        entry["name"] = vendor.name().into();
        entry["base_url"] = desk.listener.url().into();
        let carriers = json!([entry, second.entry()]).to_string();
        let key = data_encoding::BASE64.encode(&[7; 32]);
        let seal = json!({"current": "k1", "keys": {"k1": key}});
        let secrets =
            json!({"seal": seal, "lookup": key, "carriers": {vendor.name(): vendor.secrets}})
                .to_string();
        let variables = [
            ("OTP_CARRIERS", carriers.as_str()),
            ("OTP_SECRETS", &secrets),
            ("OTP_COOLDOWN_SECONDS", "0"),
        ];
        let wires = Wires {
            sns: Some(desk.listener.url()),
            ..Wires::default()
        };
        let service = Service::try_start_behind(&variables, None, wires).await;
        Self {
            service: service.unwrap_or_else(|error| panic!("{}: {error}", vendor.kind)),
            desk,
            second,
        }
    }

    /// Opens a verification over the vendor's channel and waits until it is with a carrier.
    async fn sent(&self, vendor: &Vendor, to: &str) -> String {
        let sent = self
            .service
            .call(
                "POST",
                "/v1/verifications",
                Some(json!({"to": to, "channel": vendor.channel})),
            )
            .await;
        assert_eq!(
            sent.status, 201,
            "{} {}: {sent:?}",
            vendor.kind, vendor.channel
        );
        self.service.settle().await;
        sent.id()
    }

    /// Status and carrier of the latest delivery.
    async fn delivery(&self, id: &str) -> (String, String) {
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

    /// What a report would be about: the message that the vendor was handed first.
    async fn message(&self, vendor: &Vendor) -> Message {
        let body = parsed(&self.desk.taken()[0]);
        let text = |at: &str| {
            body.pointer(at)
                .and_then(Value::as_str)
                .unwrap_or_else(|| panic!("{}: no {at} in {body}", vendor.kind))
                .to_owned()
        };
        let of_account = || {
            format!(
                "{}/v1/callbacks/{}/{CALLBACK_TOKEN}",
                self.service.base,
                vendor.name()
            )
        };
        Message {
            url: vendor.url.map_or_else(of_account, text),
            reference: vendor
                .reference
                .map(|at| text(at).trim_start_matches("m=").to_owned())
                .unwrap_or_default(),
            now: self.service.now().await,
        }
    }

    async fn table(&self) -> Value {
        self.service.settle().await;
        let state = self.service.state().await;
        json!([state["table"], state["queue"], state["dead_letters"]])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The JSON document or the form of a request.
fn parsed(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_else(|_| {
        form_urlencoded::parse(&request.body)
            .map(|(name, value)| (name.into_owned(), Value::from(value)))
            .collect()
    })
}

fn vendors() -> Vec<Vendor> {
    [unsigned::vendors(), signed::vendors(), aws::vendors()]
        .into_iter()
        .flatten()
        .collect()
}

fn recipient(vendor: &Vendor, n: u32) -> String {
    if vendor.channel == "email" {
        format!("user{n}@example.net")
    } else {
        phone(n)
    }
}

/// The first six digits in a row.
fn code(text: &str) -> String {
    // Markup has digits of its own.
    let text = text.rsplit("<Say").next().unwrap_or_default();
    let mut words = text.split(|c: char| !c.is_ascii_digit());
    // A voice says them one by one.
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

#[tokio::test]
async fn a_message_is_handed_over_as_documented_and_its_code_is_the_one_that_counts() {
    for vendor in vendors() {
        let (stand, who) = (
            Stand::open(&vendor).await,
            format!("{} {}", vendor.kind, vendor.channel),
        );
        let id = stand
            .sent(&vendor, if vendor.channel == "email" { EMAIL } else { TO })
            .await;
        let taken = stand.desk.taken();
        assert_eq!(
            (taken.len(), stand.second.handed().len()),
            (1, 0),
            "{who}: once"
        );
        assert_eq!(
            (taken[0].method.as_str(), taken[0].path.as_str()),
            ("POST", vendor.path),
            "{who}"
        );
        for (name, begins) in &vendor.headers {
            let value = taken[0]
                .headers
                .get(*name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            assert!(value.starts_with(begins.as_str()), "{who}: {name}: {value}");
        }
        let body = parsed(&taken[0]);
        for (at, expected) in &vendor.fields {
            assert_eq!(body.pointer(at), Some(expected), "{who}: {at} of {body}");
        }
        let text = body
            .pointer(vendor.text)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{who}: {body}"));
        assert_eq!(
            stand.delivery(&id).await,
            ("sent".into(), vendor.name()),
            "{who}"
        );
        let checked = stand.service.check(&id, &code(text)).await;
        assert_eq!(
            (checked.status, &checked.body["status"]),
            (200, &json!("approved")),
            "{who}: {text}"
        );
    }
}

#[tokio::test]
async fn each_class_of_answer_leads_where_it_should() {
    for vendor in vendors() {
        let (stand, who) = (
            Stand::open(&vendor).await,
            format!("{} {}", vendor.kind, vendor.channel),
        );
        let own = vendor.name();
        let classes = [
            (vendor.permanent, "rejected", own.as_str()),
            (vendor.unreadable, "unknown", &own),
            (vendor.transient, "sent", "second"),
            (vendor.misconfigured, "sent", "second"),
        ];
        let mut second_has = 0;
        for (n, (said, status, carrier)) in (1..).zip(classes) {
            *lock(&stand.desk.says) = said;
            let id = stand.sent(&vendor, &recipient(&vendor, n)).await;
            assert_eq!(
                stand.delivery(&id).await,
                (status.into(), carrier.into()),
                "{who}: {said:?}"
            );
            second_has += usize::from(carrier == "second");
            assert_eq!(
                (stand.desk.taken().len(), stand.second.handed().len()),
                (n as usize, second_has),
                "{who}: {said:?}"
            );
        }
        let codes: Vec<_> = stand
            .desk
            .taken()
            .iter()
            .map(|taken| {
                parsed(taken)
                    .pointer(vendor.text)
                    .map(|text| code(&text.to_string()))
            })
            .collect();
        let fallen: Vec<_> = stand
            .second
            .handed()
            .iter()
            .map(|handed| handed.body["text"].as_str().map(code))
            .collect();
        assert_eq!(codes[2..], fallen, "{who}: the same code");
    }
}

#[tokio::test]
async fn the_vendors_report_ends_the_delivery_and_a_repeated_one_changes_nothing() {
    for vendor in vendors() {
        let (stand, who) = (
            Stand::open(&vendor).await,
            format!("{} {}", vendor.kind, vendor.channel),
        );
        let id = stand.sent(&vendor, &recipient(&vendor, 1)).await;
        let report = (vendor.report)(&stand.message(&vendor).await);
        let answer = report.send(&stand.service).await;
        assert_eq!(answer.status, 200, "{who}: {answer:?}");
        assert_eq!(
            stand.delivery(&id).await,
            ("delivered".into(), vendor.name()),
            "{who}"
        );
        let before = stand.table().await;
        assert_eq!(
            report.send(&stand.service).await.status,
            200,
            "{who}: again"
        );
        assert_eq!(stand.table().await, before, "{who}: nothing to write");
    }
}

#[tokio::test]
async fn a_forged_report_leaves_no_trace() {
    for vendor in vendors() {
        let (stand, who) = (
            Stand::open(&vendor).await,
            format!("{} {}", vendor.kind, vendor.channel),
        );
        let id = stand.sent(&vendor, &recipient(&vendor, 1)).await;
        let message = stand.message(&vendor).await;
        let before = stand.table().await;
        let mut forged = vec![];
        for url in [
            message.url[..message.url.len() - 1].to_owned(),
            message.url.replace(&vendor.name(), "second"),
            format!("{}x", message.url),
        ] {
            forged.push((vendor.report)(&Message {
                url,
                reference: message.reference.clone(),
                now: message.now,
            }));
        }
        let good = (vendor.report)(&message);
        if let Some((from, to)) = vendor.altered {
            assert!(good.body.contains(from), "{who}: {}", good.body);
            forged.push(Posted {
                body: good.body.replacen(from, to, 1),
                ..good.clone()
            });
            forged.push(Posted {
                body: format!("{{{}", good.body),
                ..good.clone()
            });
        }
        for name in ["x-twilio-signature", "authorization"]
            .iter()
            .filter(|name| good.headers.iter().any(|(of, _)| of == *name))
        {
            let headers = good
                .headers
                .iter()
                .filter(|(of, _)| of != name)
                .cloned()
                .collect();
            forged.push(Posted {
                headers,
                ..good.clone()
            });
        }
        for (n, report) in forged.iter().enumerate() {
            let answer = report.send(&stand.service).await;
            let refused: &[u16] = if vendor.kind == "end_user_messaging" || vendor.kind == "ses" {
                &[400, 401, 404]
            } else {
                &[401, 404]
            };
            assert!(
                refused.contains(&answer.status),
                "{who}, forgery {n}: {answer:?}"
            );
        }
        assert_eq!(
            stand.table().await,
            before,
            "{who}: no write for a stranger"
        );
        assert_eq!(good.send(&stand.service).await.status, 200, "{who}");
        assert_eq!(
            stand.delivery(&id).await.0,
            "delivered",
            "{who}: the genuine one is taken afterwards"
        );
    }
}

#[tokio::test]
async fn ten_thousand_reports_about_nobodys_messages_leave_no_trace() {
    const REPORTS: usize = 10_000;
    const AT_ONCE: usize = 50;
    let vendors = vendors();
    let of_each = REPORTS.div_ceil(vendors.len());
    for vendor in &vendors {
        let (stand, who) = (
            Stand::open(vendor).await,
            format!("{} {}", vendor.kind, vendor.channel),
        );
        let id = stand.sent(vendor, &recipient(vendor, 1)).await;
        let genuine = stand.message(vendor).await;
        let before = stand.table().await;
        for first in (0..of_each).step_by(AT_ONCE) {
            let mut calls = tokio::task::JoinSet::new();
            for n in first..(first + AT_ONCE).min(of_each) {
                // Well formed, and names no message of ours: in its URL, or in the report where the URL is the account's.
                let stranger = data_encoding::BASE32_NOPAD
                    .encode(&[&[7; 12], &n.to_be_bytes()[..]].concat())
                    .to_ascii_lowercase();
                let url = vendor.url.map_or_else(
                    || genuine.url.clone(),
                    |_| {
                        genuine.url.replacen(
                            &genuine.url[genuine.url.len() - 54..],
                            &format!("{stranger}{:0>22}", n),
                            1,
                        )
                    },
                );
                let report = (vendor.report)(&Message {
                    url,
                    reference: stranger,
                    now: genuine.now,
                });
                let service = stand.service.clone();
                calls.spawn(async move { report.send(&service).await.status });
            }
            for status in calls.join_all().await {
                let expected = if vendor.url.is_some() { 404 } else { 200 };
                assert_eq!(status, expected, "{who}");
            }
        }
        assert_eq!(
            stand.table().await,
            before,
            "{who}: nothing was written, and nothing is to be done"
        );
        assert_eq!(
            stand.delivery(&id).await,
            ("sent".into(), vendor.name()),
            "{who}"
        );
    }
}

#[tokio::test]
async fn a_carrier_without_a_name_is_called_as_the_contract_allows() {
    let desk = Desk::open((200, r#"{"MessageId":"862a8790"}"#)).await;
    let carriers = json!([{"kind": "end_user_messaging", "base_url": desk.listener.url(), "origination_identity": "AcmeInc"}]).to_string();
    let service = Service::start_with(&[("OTP_CARRIERS", &carriers)]).await;
    let id = service.send(TO).await.id();
    service.settle().await;
    // The contract judges this answer on its way.
    assert_eq!(service.show(&id).await.body["delivery"]["status"], "sent");
}
