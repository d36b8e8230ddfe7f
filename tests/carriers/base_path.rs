//! Reports to a public URL with a base path. A signature covers the URL that was handed to the
//! carrier, whatever a gateway or a proxy makes of the path.

use super::setup::VendorSetup;
use super::vendor::{CALLBACK_TOKEN, RECIPIENT, Vendor};
use super::vendors;

const ORIGIN: &str = "https://api.example.com";

fn kinds(kinds: &[&str]) -> impl Iterator<Item = Vendor> {
    let is_listed = |vendor: &Vendor| kinds.contains(&vendor.kind);
    vendors()
        .into_iter()
        .filter(is_listed)
        .collect::<Vec<_>>()
        .into_iter()
}

#[tokio::test]
async fn signed_report_is_accepted_behind_a_base_path() {
    // With a slash at its end, too.
    for public_url in [
        "https://api.example.com/otp",
        "https://api.example.com/auth/otp/",
    ] {
        for vendor in kinds(&["twilio", "http", "vonage"]) {
            for is_stripped in [false, true] {
                let variables = [("OTP_PUBLIC_URL", public_url)];
                let setup = VendorSetup::start_for(&vendor, &variables).await;
                let id = setup.open(&vendor, RECIPIENT).await;
                let mut message = setup.message(&vendor).await;
                if vendor.url.is_none() {
                    let name = vendor.name();
                    let base = public_url.trim_end_matches('/');
                    message.url = format!("{base}/v1/callbacks/{name}/{CALLBACK_TOKEN}");
                }
                let report = (vendor.report)(&message);
                let path = report.url.strip_prefix(ORIGIN).expect("the public URL");
                let base = public_url.trim_start_matches(ORIGIN).trim_end_matches('/');
                let path = match is_stripped {
                    true => path.strip_prefix(base).expect("the base path"),
                    false => path,
                };
                let headers = report.headers.iter();
                let headers: Vec<_> = headers.map(|(n, value)| (*n, value.as_str())).collect();
                let service = &setup.service;
                let label = format!("{} {path}", vendor.label());
                let forged = format!("/x{path}");
                let response = service
                    .raw(report.method, &forged, &headers, report.body.clone())
                    .await;
                assert_eq!(response.status, 404, "{label}");
                let response = service
                    .raw(report.method, path, &headers, report.body.clone())
                    .await;
                assert_eq!(response.status, 200, "{label}: {response:?}");
                let delivered = ("delivered".to_owned(), vendor.name());
                assert_eq!(setup.delivery(&id).await, delivered, "{label}");
            }
        }
    }
}
