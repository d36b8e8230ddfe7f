//! What follows from each documented response of a vendor: the status of the message, the next
//! carrier, the level of the log line, and the circuit breaker that counts it.
//!
//! Invariant: only what a vendor says about the recipient ends a message. What it says about the
//! account, the coverage, the sender, the template or the settings leads to the next carrier.

use serde_json::Value;
use tracing::Level;

use super::response_tables::{self, ResponseTable};
use super::setup::{VendorSetup, recipient};
use super::vendor::Vendor;
use crate::support::{LogCapture, built_functions, stored_items};

const CARRIERS: &str = include_str!("../../docs/carriers.md");

/// The class of a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// The recipient: it ends the message.
    Permanent,
    /// The operator's own block at the vendor: it ends the message, with a warning.
    Blocked,
    /// Not now: the next carrier at once.
    Transient,
    /// Sender, coverage, template, settings: the next carrier at once, with an error.
    Misconfigured,
    /// Credentials or balance: as misconfigured, for the whole account.
    AccountRejected,
    /// Not the vendor's format: the message may have been sent.
    Unknown,
}

/// What follows from a response.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Consequences {
    /// Status and carrier of the message.
    delivery: (String, String),
    /// Whether the second carrier was called.
    is_second_called: bool,
    /// `None` if the functions run as processes, which log elsewhere.
    log_level: Option<Level>,
    /// The circuit breakers that counted a failure.
    breakers: Vec<String>,
}

fn expected(vendor: &Vendor, class: Class) -> Consequences {
    let (status, carrier) = match class {
        Class::Permanent | Class::Blocked => ("rejected", vendor.name()),
        Class::Unknown => ("unknown", vendor.name()),
        Class::Transient | Class::Misconfigured | Class::AccountRejected => {
            ("sent", "second".to_owned())
        }
    };
    let log_level = match class {
        Class::Permanent | Class::Transient | Class::Unknown => Level::INFO,
        Class::Blocked => Level::WARN,
        Class::Misconfigured | Class::AccountRejected => Level::ERROR,
    };
    let country = if vendor.channel == "email" { "-" } else { "FR" };
    let breakers = match class {
        Class::Permanent | Class::Blocked => vec![],
        Class::AccountRejected => vec![vendor.name()],
        Class::Transient | Class::Misconfigured | Class::Unknown => {
            vec![format!("{}/{}/{country}", vendor.name(), vendor.channel)]
        }
    };
    Consequences {
        is_second_called: carrier == "second",
        delivery: (status.to_owned(), carrier),
        log_level: built_functions::for_suite().is_none().then_some(log_level),
        breakers,
    }
}

/// The scopes of the circuit breakers of `carrier` that counted a failure.
async fn failed_scopes(setup: &VendorSetup, carrier: &str) -> Vec<String> {
    let items = stored_items(&setup.service).await;
    let names = items.iter().filter_map(Value::as_object);
    let names = names.flat_map(|item| item.keys());
    let scopes = names.filter_map(|name| name.strip_prefix("failures:"));
    let own = scopes.filter(|scope| scope.split('/').next() == Some(carrier));
    own.map(str::to_owned).collect()
}

pub async fn check_table(table: &ResponseTable) {
    let vendor = &table.vendor;
    let logs = LogCapture::start();
    let (setup, label) = (VendorSetup::start(vendor).await, vendor.label());
    for (n, (response, class)) in (1..).step_by(2).zip(&table.rows) {
        setup.server.respond_with(*response);
        let second_before = setup.second.received().len();
        logs.take();
        let id = setup.open(vendor, &recipient(vendor, n)).await;
        let delivery = setup.delivery(&id).await;
        let lines = logs.take();
        let of_call = lines.iter().find(|line| {
            line.field("carrier") == vendor.name()
                && (!line.field("delivery.receipt").is_empty()
                    || ["misconfigured", "blocked"].contains(&line.field("error.kind")))
        });
        let found = Consequences {
            delivery,
            is_second_called: setup.second.received().len() > second_before,
            log_level: of_call.map(|line| line.level),
            breakers: failed_scopes(&setup, &vendor.name()).await,
        };
        assert_eq!(found, expected(vendor, *class), "{label}: {response:?}");
        if found.breakers.is_empty() {
            continue;
        }
        // A success closes the breakers.
        setup.server.respond_with(vendor.accepted);
        setup.open(vendor, &recipient(vendor, n + 1)).await;
        let left = failed_scopes(&setup, &vendor.name()).await;
        assert!(left.is_empty(), "{label}: {response:?}: {left:?}");
    }
}

async fn check_tables(is_of: fn(&str) -> bool) {
    for table in response_tables::all() {
        if is_of(table.vendor.kind) {
            check_table(&table).await;
        }
    }
}

const AWS: [&str; 4] = ["sns", "end_user_messaging", "notify", "ses"];
const SIGNING: [&str; 3] = ["twilio", "vonage", "http"];

#[tokio::test]
async fn responses_of_aws_have_the_consequences_of_their_class() {
    check_tables(|kind| AWS.contains(&kind)).await;
}

#[tokio::test]
async fn responses_of_signing_vendors_have_their_consequences() {
    check_tables(|kind| SIGNING.contains(&kind)).await;
}

#[tokio::test]
async fn responses_of_other_vendors_have_their_consequences() {
    check_tables(|kind| !AWS.contains(&kind) && !SIGNING.contains(&kind)).await;
}

#[test]
fn every_kind_and_channel_has_a_table() {
    let tables = response_tables::all();
    let documented: Vec<_> = CARRIERS.lines().filter_map(kind_and_channels).collect();
    assert_eq!(documented.len(), 12, "kinds in docs/carriers.md");
    for (kind, channels) in documented {
        for channel in channels {
            let is_of = |vendor: &Vendor| (vendor.kind, vendor.channel) == (kind, channel);
            let has_table = tables.iter().any(|table| is_of(&table.vendor));
            // The contract gives one table for all channels of `http`.
            assert!(has_table || kind == "http", "{kind} {channel}");
        }
    }
}

/// The kind and the channels in a row of the table of kinds.
fn kind_and_channels(row: &str) -> Option<(&str, Vec<&str>)> {
    let (kind, rest) = row.strip_prefix("| [`")?.split_once("`](#")?;
    let cell = rest.split('|').nth(1)?;
    let words = cell.split(|c: char| !c.is_ascii_lowercase());
    let is_channel = |word: &&str| ["sms", "voice", "whatsapp", "email", "push"].contains(word);
    Some((kind, words.filter(is_channel).collect()))
}

#[tokio::test]
async fn answer_of_a_proxy_never_ends_a_message() {
    const HTML: &str = "<html><body>Not Found</body></html>";
    let mut tables = response_tables::all();
    tables.dedup_by_key(|table| table.vendor.kind);
    // In its contract a 4xx is about the recipient.
    tables.retain(|table| table.vendor.kind != "http");
    for table in tables {
        let mut rows = vec![
            ((400, HTML), Class::Misconfigured),
            ((404, HTML), Class::Misconfigured),
            ((403, HTML), Class::Misconfigured),
            ((502, HTML), Class::Transient),
        ];
        // The SDK of SNS takes any success for an acceptance.
        if table.vendor.kind != "sns" {
            rows.extend([
                ((401, HTML), Class::AccountRejected),
                ((200, HTML), Class::Unknown),
            ]);
        }
        check_table(&ResponseTable { rows, ..table }).await;
    }
}
