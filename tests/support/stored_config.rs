//! An operator who writes the configuration document of a service: the store of the program, with
//! the keys that the functions have.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_dynamodb::operation::put_item::{PutItem, PutItemInput};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use data_encoding::BASE64;
use local::{BuiltFunctions, Wires};
use otp::config::document::{CarrierCredentials, Document};
use otp::crypto::hashes::sha256;
use otp::crypto::keyring::Keyring;
use otp::domain::time::Timestamp;
use otp::platform::aws::{Aws, AwsSettings, Service as AwsService};
use otp::store::{ConfigWrite, Replaced, Store};
use serde_json::{Value, json};

use super::built_functions;
use super::http_carrier::HttpCarrier;
use super::proxied_service::ProxiedService;
use super::service::Service;

/// An API key of app `desk`, which only documents name.
pub const DESK_KEY: &str = "otp_live_desk_1111111111111111";

const LOOKUP: [u8; 32] = [8; 32];
const CARRIER_SEAL: [u8; 32] = [9; 32];
const WRITTEN_AT: Timestamp = Timestamp(1_795_291_200);

/// The store with the keys of the operator.
pub struct ConfigWriter {
    pub store: Store,
    carrier_seal: Keyring,
}

fn seal_key(id: &str) -> [u8; 32] {
    sha256(id.as_bytes())
}

/// `OTP_SECRETS` with these seal keys, of which the first is current.
pub fn secrets(ids: &[&str]) -> String {
    let key = |id: &&str| ((*id).to_owned(), json!(BASE64.encode(&seal_key(id))));
    let keys: serde_json::Map<_, _> = ids.iter().map(key).collect();
    json!({
        "seal": {"current": ids[0], "keys": keys}, "lookup": BASE64.encode(&LOOKUP),
        "carrier_seal": BASE64.encode(&CARRIER_SEAL),
    })
    .to_string()
}

/// A service whose functions are processes, `count` of each, and its operator.
pub async fn start_processes(count: usize, variables: &[(&str, &str)]) -> (Service, ConfigWriter) {
    let secrets = secrets(&["k1"]);
    let variables = [&[("OTP_SECRETS", secrets.as_str())], variables].concat();
    let functions = Some(BuiltFunctions {
        processes: count,
        ..built_functions::functions()
    });
    let service = Service::try_start_as(&variables, None, Wires::default(), functions).await;
    let service = service.expect("the service starts");
    let writer = ConfigWriter::of(&service, &["k1"]).await;
    (service, writer)
}

/// The same with one process of each, behind fault proxies.
pub async fn start_proxied() -> (ProxiedService, ConfigWriter) {
    let secrets = secrets(&["k1"]);
    let variables = [("OTP_SECRETS", secrets.as_str())];
    let carrier = HttpCarrier::start("only").await;
    let started = ProxiedService::start_processes(&[&carrier], &variables, 1).await;
    let writer = ConfigWriter::of(&started.0.service, &["k1"]).await;
    (started.0, writer)
}

impl ConfigWriter {
    /// With these seal keys, of which the first is current. It has real time, so it calls the table
    /// itself.
    pub async fn of(service: &Service, ids: &[&str]) -> Self {
        let shown = service.raw("GET", "/local/endpoints", &[], "").await;
        let text = |name: &str| shown.body[name].as_str().expect("a text").to_owned();
        Self::at(&text("dynamodb_url"), &text("table"), ids)
    }

    fn at(dynamodb_url: &str, table: &str, ids: &[&str]) -> Self {
        let aws = Aws::new(AwsSettings {
            region: "local".into(),
            access_key_id: "local".into(),
            secret_access_key: "local".into(),
            session_token: None,
            endpoint_urls: [Some(dynamodb_url.to_owned()), None, None],
        });
        let keys: BTreeMap<String, [u8; 32]> = ids
            .iter()
            .map(|id| ((*id).to_owned(), seal_key(id)))
            .collect();
        let keyring = Arc::new(Keyring::new(ids[0].to_owned(), &keys, &LOOKUP));
        let dynamodb = aws.client(AwsService::DynamoDb);
        Self {
            store: Store::new(dynamodb, table.to_owned(), keyring),
            carrier_seal: Keyring::with_one_seal_key("carrier_seal", CARRIER_SEAL),
        }
    }

    /// Writes a document with these members as the version after `expected`.
    pub async fn write(&self, expected: u64, members: Value) -> ConfigWrite {
        let mut members = members;
        members["format"] = 1.into();
        let document = Document::parse(&members.to_string());
        let document = document.unwrap_or_else(|error| panic!("{error}"));
        let text = document.to_stored();
        self.write_text(expected, &text.unwrap_or_else(|error| panic!("{error}")))
            .await
    }

    /// Writes any text in place of a document, as an operator without the tool may.
    pub async fn write_text(&self, expected: u64, text: &str) -> ConfigWrite {
        let replaced = Replaced::Version(expected);
        let written = self.store.write_config(replaced, text, "ada", WRITTEN_AT);
        written.await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Writes the credentials of `carriers` as the version after `expected`.
    pub async fn write_credentials(&self, expected: u64, carriers: &[&HttpCarrier]) {
        let carriers = carriers.iter().map(|carrier| {
            let entry = carrier.entry();
            let credentials = json!({"token": entry["token"], "secret": entry["secret"]});
            (carrier.name.clone(), credentials)
        });
        let text = CarrierCredentials(carriers.collect()).to_stored();
        let seal = &self.carrier_seal;
        let store = &self.store;
        let replaced = Replaced::Version(expected);
        let written = store.write_config_secrets(seal, replaced, &text, "ada", WRITTEN_AT);
        let written = written.await.unwrap_or_else(|error| panic!("{error}"));
        assert!(matches!(written, ConfigWrite::Written(_)));
    }
}

/// Places an item of these attributes under a key of the configuration, as an operator without the
/// tool may.
pub async fn place_item(service: &Service, key: &str, attributes: &[(&str, AttributeValue)]) {
    let aws = Aws::new(AwsSettings {
        region: "local".into(),
        access_key_id: "local".into(),
        secret_access_key: "local".into(),
        session_token: None,
        endpoint_urls: [Some(service.dynamodb_url.clone()), None, None],
    });
    let put = PutItemInput::builder().table_name(&service.table);
    let put = put.item("pk", AttributeValue::B(Blob::new(key)));
    let put = attributes
        .iter()
        .fold(put, |put, (name, value)| put.item(*name, value.clone()));
    let client = aws.client(AwsService::DynamoDb);
    let written = client.call(PutItem::new(), put.build()).await;
    written.expect("it is written");
}

/// An entry of `api_keys`.
pub fn key_entry(id: &str, app: &str, key: &str, expires_at: Option<i64>) -> Value {
    let expires_at = expires_at.map(|at| Timestamp(at).to_string());
    json!({
        "id": id, "app": app, "name": "test", "sha256": BASE64.encode(&sha256(key.as_bytes())),
        "last4": &key[key.len() - 4..], "created_at": WRITTEN_AT.to_string(),
        "expires_at": expires_at,
    })
}

/// A document with app `desk`, its key, and this brand.
pub fn desk(brand: &str) -> Value {
    json!({
        "apps": {"desk": {"brand": brand}},
        "api_keys": [key_entry("ak_1", "desk", DESK_KEY, None)],
    })
}

/// The entries of `carriers`, without credentials.
pub fn carrier_list(carriers: &[&HttpCarrier]) -> Value {
    let entry = |carrier: &&HttpCarrier| {
        let mut entry = carrier.entry();
        let fields = entry.as_object_mut().expect("an object");
        fields.retain(|name, _| name != "token" && name != "secret");
        entry
    };
    carriers.iter().map(entry).collect()
}
