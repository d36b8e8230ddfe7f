//! The items of the configuration in a real table: versions, history, two writers, rotation of the
//! seal key.

use std::collections::BTreeMap;
use std::sync::Arc;

use otp::crypto::keyring::Keyring;
use otp::domain::time::Timestamp;
use otp::platform::aws::{Aws, AwsSettings, Service as AwsService};
use otp::store::{ConfigVersion, ConfigWrite, Replaced, Store};

use crate::support::Service;

const NOW: Timestamp = Timestamp(1_795_291_200);

fn keyring(current: &str, ids: &[&str]) -> Arc<Keyring> {
    let keys: BTreeMap<String, [u8; 32]> = ids
        .iter()
        .map(|id| ((*id).to_owned(), [id.as_bytes()[1]; 32]))
        .collect();
    Arc::new(Keyring::new(current.to_owned(), &keys, &[8; 32]))
}

fn store_of(service: &Service, keyring: Arc<Keyring>) -> Store {
    let aws = Aws::new(AwsSettings {
        region: "eu-west-1".into(),
        access_key_id: "key".into(),
        secret_access_key: "secret".into(),
        session_token: None,
        endpoint_urls: [Some(service.dynamodb_url.clone()), None, None],
    });
    Store::new(
        aws.client(AwsService::DynamoDb),
        service.table.clone(),
        keyring,
    )
}

async fn write(store: &Store, expected: u64, text: &str) -> ConfigWrite {
    let replaced = Replaced::Version(expected);
    let written = store.write_config(replaced, text, "ada", NOW).await;
    written.unwrap_or_else(|error| panic!("{error}"))
}

async fn current(store: &Store) -> Option<ConfigVersion> {
    let read = store.read_config(true).await;
    read.unwrap_or_else(|error| panic!("{error}"))
}

fn version_of(written: &ConfigWrite) -> Option<u64> {
    match written {
        ConfigWrite::Written(version) => Some(*version),
        ConfigWrite::Conflict(_) => None,
    }
}

#[tokio::test]
async fn last_twenty_versions_are_kept() {
    let service = Service::start().await;
    let store = store_of(&service, keyring("k1", &["k1"]));
    assert!(current(&store).await.is_none());
    for expected in 0..23 {
        let written = write(&store, expected, &format!("text {}", expected + 1)).await;
        assert_eq!(version_of(&written), Some(expected + 1));
    }
    let history = store.config_history().await.expect("a history");
    let versions: Vec<u64> = history.iter().map(|version| version.version).collect();
    assert_eq!(versions, (4..=23).rev().collect::<Vec<_>>());
    assert_eq!(history[19].text.as_deref(), Some("text 4"));
    let now = current(&store).await.expect("a document");
    assert_eq!((now.version, now.author.as_str()), (23, "ada"));
}

#[tokio::test]
async fn second_of_two_writers_is_refused() {
    let service = Service::start().await;
    let store = store_of(&service, keyring("k1", &["k1"]));
    write(&store, 0, "first").await;
    let (a, b) = tokio::join!(write(&store, 1, "a"), write(&store, 1, "b"));
    let texts = [&a, &b].map(version_of);
    assert_eq!(texts.iter().flatten().collect::<Vec<_>>(), [&2]);
    let refused = if version_of(&a).is_none() { a } else { b };
    let ConfigWrite::Conflict(Some(shown)) = refused else {
        panic!("the second writer is shown the version of the first")
    };
    assert_eq!(shown.version, 2);
    let history = store.config_history().await.expect("a history");
    assert_eq!(history.len(), 2);
    assert_eq!(version_of(&write(&store, 0, "late").await), None);
}

#[tokio::test]
async fn document_opens_while_the_seal_key_rotates() {
    let service = Service::start().await;
    write(&store_of(&service, keyring("k1", &["k1"])), 0, "old").await;
    let rotating = store_of(&service, keyring("k2", &["k1", "k2"]));
    let old = current(&rotating).await.expect("a document");
    assert_eq!(
        (old.text.as_deref(), old.seal_key.as_str()),
        (Some("old"), "k1")
    );
    let removed = store_of(&service, keyring("k2", &["k2"]));
    assert_eq!(current(&removed).await.expect("a document").text, None);
    write(&rotating, 1, "new").await;
    let new = current(&removed).await.expect("a document");
    assert_eq!(new.text.as_deref(), Some("new"));
}

#[tokio::test]
async fn credentials_open_with_their_own_key_only() {
    let service = Service::start().await;
    let store = store_of(&service, keyring("k1", &["k1"]));
    let carrier_seal = Keyring::with_one_seal_key("carrier_seal", [9; 32]);
    let none = Replaced::Version(0);
    let written = store.write_config_secrets(&carrier_seal, none, "secret", "ada", NOW);
    let written = written.await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(version_of(&written), Some(1));
    let text_with = async |key: &Keyring| {
        let read = store.read_config_secrets(key, true).await;
        read.expect("a reading").expect("credentials").text
    };
    assert_eq!(text_with(&carrier_seal).await.as_deref(), Some("secret"));
    let other = Keyring::with_one_seal_key("carrier_seal", [8; 32]);
    assert_eq!(text_with(&other).await, None);
    let history = store.config_history().await.expect("a history");
    assert!(history.is_empty(), "credentials are not kept");
}
