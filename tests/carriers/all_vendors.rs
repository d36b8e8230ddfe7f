//! What holds for every vendor: a message goes out as documented, each class of responses has its
//! outcome, a report is applied once, and a forged one leaves no trace.

use serde_json::{Value, json};

use super::setup::{VendorServer, VendorSetup, code, parsed, recipient};
use super::vendor::{EMAIL, RECIPIENT, Vendor, VendorMessage, VendorReport};
use super::vendors;
use crate::support::Service;

#[tokio::test]
async fn message_is_handed_over_as_documented() {
    for vendor in vendors() {
        let (setup, label) = (VendorSetup::start(&vendor).await, vendor.label());
        let id = setup
            .open(
                &vendor,
                if vendor.channel == "email" {
                    EMAIL
                } else {
                    RECIPIENT
                },
            )
            .await;
        let messages = setup.server.messages();
        assert_eq!(
            (messages.len(), setup.second.received().len()),
            (1, 0),
            "{label}: one message"
        );
        assert_eq!(
            (messages[0].method.as_str(), messages[0].path.as_str()),
            ("POST", vendor.path),
            "{label}"
        );
        for (name, start) in &vendor.headers {
            let value = messages[0]
                .headers
                .get(*name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            assert!(
                value.starts_with(start.as_str()),
                "{label}: {name}: {value}"
            );
        }
        let length = messages[0].headers.get("content-length");
        let length = length.and_then(|length| length.to_str().ok());
        let expected = messages[0].body.len().to_string();
        assert_eq!(length, Some(&*expected), "{label}: not in chunks");
        let body = parsed(&messages[0]);
        for (at, expected) in &vendor.fields {
            assert_eq!(body.pointer(at), Some(expected), "{label}: {at} of {body}");
        }
        let text = body
            .pointer(vendor.text)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{label}: {body}"));
        assert_eq!(
            setup.delivery(&id).await,
            ("sent".into(), vendor.name()),
            "{label}"
        );
        let checked = setup.service.check(&id, &code(text)).await;
        assert_eq!(
            (checked.status, &checked.body["status"]),
            (200, &json!("approved")),
            "{label}: {text}"
        );
    }
}

#[tokio::test]
async fn vendor_response_decides_failover_or_rejection() {
    for vendor in vendors() {
        let (setup, label) = (VendorSetup::start(&vendor).await, vendor.label());
        let own = vendor.name();
        let classes = [
            (vendor.permanent, "rejected", own.as_str()),
            (vendor.unreadable, "unknown", &own),
            (vendor.transient, "sent", "second"),
            (vendor.misconfigured, "sent", "second"),
        ];
        let mut second_count = 0;
        for (n, (response, status, carrier)) in (1..).zip(classes) {
            setup.server.respond_with(response);
            let id = setup.open(&vendor, &recipient(&vendor, n)).await;
            assert_eq!(
                setup.delivery(&id).await,
                (status.into(), carrier.into()),
                "{label}: {response:?}"
            );
            second_count += usize::from(carrier == "second");
            assert_eq!(
                (setup.server.messages().len(), setup.second.received().len()),
                (n as usize, second_count),
                "{label}: {response:?}"
            );
        }
        let codes: Vec<_> = setup
            .server
            .messages()
            .iter()
            .map(|message| {
                parsed(message)
                    .pointer(vendor.text)
                    .map(|text| code(&text.to_string()))
            })
            .collect();
        let failed_over: Vec<_> = setup
            .second
            .received()
            .iter()
            .map(|message| message.body["text"].as_str().map(code))
            .collect();
        assert_eq!(codes[2..], failed_over, "{label}: the same code");
    }
}

#[tokio::test]
async fn vendor_report_is_applied_once() {
    for vendor in vendors() {
        let (setup, label) = (VendorSetup::start(&vendor).await, vendor.label());
        let id = setup.open(&vendor, &recipient(&vendor, 1)).await;
        let report = (vendor.report)(&setup.message(&vendor).await);
        let response = report.send(&setup.service).await;
        assert_eq!(response.status, 200, "{label}: {response:?}");
        assert_eq!(
            setup.delivery(&id).await,
            ("delivered".into(), vendor.name()),
            "{label}"
        );
        let before = setup.stored_state().await;
        assert_eq!(
            report.send(&setup.service).await.status,
            200,
            "{label}: again"
        );
        assert_eq!(
            setup.stored_state().await,
            before,
            "{label}: nothing is written"
        );
    }
}

/// Reports that no vendor sent: with an altered URL, body or header.
fn forged_reports(
    vendor: &Vendor,
    message: &VendorMessage,
    good: &VendorReport,
) -> Vec<VendorReport> {
    let mut forged = vec![];
    for url in [
        message.url[..message.url.len() - 1].to_owned(),
        message.url.replace(&vendor.name(), "second"),
        format!("{}x", message.url),
    ] {
        forged.push((vendor.report)(&VendorMessage {
            url,
            reference: message.reference.clone(),
            now: message.now,
        }));
    }
    if let Some((from, to)) = vendor.altered {
        assert!(good.body.contains(from), "{}: {}", vendor.kind, good.body);
        forged.push(VendorReport {
            body: good.body.replacen(from, to, 1),
            ..good.clone()
        });
        forged.push(VendorReport {
            body: format!("{{{}", good.body),
            ..good.clone()
        });
    }
    for name in ["x-twilio-signature", "authorization"]
        .iter()
        .filter(|name| good.headers.iter().any(|(header, _)| header == *name))
    {
        let headers = good
            .headers
            .iter()
            .filter(|(header, _)| header != name)
            .cloned()
            .collect();
        forged.push(VendorReport {
            headers,
            ..good.clone()
        });
    }
    forged
}

#[tokio::test]
async fn forged_report_leaves_no_trace() {
    for vendor in vendors() {
        let (setup, label) = (VendorSetup::start(&vendor).await, vendor.label());
        let id = setup.open(&vendor, &recipient(&vendor, 1)).await;
        let message = setup.message(&vendor).await;
        let before = setup.stored_state().await;
        let good = (vendor.report)(&message);
        for (n, report) in forged_reports(&vendor, &message, &good).iter().enumerate() {
            let response = report.send(&setup.service).await;
            let expected: &[u16] = if ["end_user_messaging", "notify", "ses"].contains(&vendor.kind)
            {
                &[400, 401, 404]
            } else if report.headers.len() < good.headers.len() && vendor.kind == "vonage" {
                // Unsigned: the vendor sends it again.
                &[503]
            } else {
                &[401, 404]
            };
            assert!(
                expected.contains(&response.status),
                "{label}, forgery {n}: {response:?}"
            );
        }
        assert_eq!(
            setup.stored_state().await,
            before,
            "{label}: no write for a unknown_reference"
        );
        assert_eq!(good.send(&setup.service).await.status, 200, "{label}");
        assert_eq!(
            setup.delivery(&id).await.0,
            "delivered",
            "{label}: the genuine report is accepted afterwards"
        );
    }
}

#[tokio::test]
async fn reports_about_unknown_messages_leave_no_trace() {
    const REPORTS: usize = 10_000;
    const IN_PARALLEL: usize = 50;
    let vendors = vendors();
    let reports_per_vendor = REPORTS.div_ceil(vendors.len());
    for vendor in &vendors {
        let (setup, label) = (VendorSetup::start(vendor).await, vendor.label());
        let id = setup.open(vendor, &recipient(vendor, 1)).await;
        let genuine = setup.message(vendor).await;
        let before = setup.stored_state().await;
        for first in (0..reports_per_vendor).step_by(IN_PARALLEL) {
            let mut calls = tokio::task::JoinSet::new();
            for n in first..(first + IN_PARALLEL).min(reports_per_vendor) {
                // Well-formed, but of no message: in the URL, or in the report if the URL belongs
                // to the account.
                let unknown_reference = data_encoding::BASE32_NOPAD
                    .encode(&[&[7; 12], &n.to_be_bytes()[..]].concat())
                    .to_ascii_lowercase();
                let url = vendor.url.map_or_else(
                    || genuine.url.clone(),
                    |_| {
                        genuine.url.replacen(
                            &genuine.url[genuine.url.len() - 54..],
                            &format!("{unknown_reference}{:0>22}", n),
                            1,
                        )
                    },
                );
                let report = (vendor.report)(&VendorMessage {
                    url,
                    reference: unknown_reference,
                    now: genuine.now,
                });
                let service = setup.service.clone();
                calls.spawn(async move { report.send(&service).await.status });
            }
            for status in calls.join_all().await {
                let expected = if vendor.url.is_some() { 404 } else { 200 };
                assert_eq!(status, expected, "{label}");
            }
        }
        assert_eq!(
            setup.stored_state().await,
            before,
            "{label}: nothing is written or enqueued"
        );
        assert_eq!(
            setup.delivery(&id).await,
            ("sent".into(), vendor.name()),
            "{label}"
        );
    }
}

#[tokio::test]
async fn carrier_without_a_name_matches_the_contract() {
    let server = VendorServer::start((200, r#"{"MessageId":"862a8790"}"#)).await;
    let carriers = json!([{"kind": "end_user_messaging", "base_url": server.url(), "origination_identity": "AcmeInc"}]).to_string();
    let service = Service::start_with(&[("OTP_CARRIERS", &carriers)]).await;
    let id = service.send(RECIPIENT).await.id();
    service.settle().await;
    // The response is validated against the contract on its way.
    assert_eq!(service.show(&id).await.body["delivery"]["status"], "sent");
}
