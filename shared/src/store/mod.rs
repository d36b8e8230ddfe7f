//! Store: the DynamoDB table. One item per app and recipient, a second one for its older sends with
//! a key, one per app and subject, one per rate limit, one for the breakers, one for the
//! configuration document and one for its credentials.
//!
//! Invariants: one decision is one conditional write; limits are decided by conditions, never
//! read and then written. Only this folder calls DynamoDB.

mod attributes;
mod calls;
mod expression;
mod versioned;
mod recipient_subject_codec;
mod recipient_codec;
mod history_codec;
mod sealed_address;
mod recipient_item;
mod recipients;
mod remembered_sends;
mod attempt_log;
mod attempts;
mod subject_codec;
mod subject_item;
mod subjects;
mod subject_log;
mod deliveries;
mod delivery_item;
mod delivery_status;
mod breakers;
mod config_items;
mod config_keys;
mod config_writes;
mod limits;
mod owners;
mod scan;
mod undo;

use std::sync::Arc;

pub use attempts::AttemptResult;
pub use breakers::BreakerState;
pub use config_items::{ConfigItem, ConfigReadError, ConfigVersion, StoredVersions};
pub use config_keys::is_config_key;
pub use config_writes::{ConfigWrite, Replaced};
pub use deliveries::{Claim, ClaimResult, DeliveryRecord, HandoverDetails, StepResult};
pub use delivery_status::RaiseResult;
pub use limits::{Exceeded, Reservation, ReserveOrder, ReserveResult, ReserveTime, SharedLimits};
pub use recipients::{Change, RestoreResult, SaveResult, StoredRecipient};
pub use scan::{OutdatedRecord, ScannedPage};
pub use subject_log::LogResult;
pub use subjects::{StoredSubject, SubjectSaveResult};
pub use versioned::jittered_backoff;

use limits::GuardCache;

use crate::crypto::keyring::Keyring;
use crate::domain::time::{HOUR_SECONDS, RETENTION_SECONDS};
use crate::platform::aws_client::AwsClient;
use crate::platform::random::random_bytes;

/// Longer than every window that an item enforces.
const TTL_SECONDS: i64 = RETENTION_SECONDS + HOUR_SECONDS;

/// The table.
#[derive(Clone, Debug)]
pub struct Store {
    client: AwsClient,
    table: String,
    keyring: Arc<Keyring>,
    /// What this instance remembers of conversion guards.
    guards: Arc<GuardCache>,
}

/// The table did not do what was requested, or it is not known whether it did.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No response, or an error response.
    #[error("the request to the table failed")]
    Request(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Other writers were first on every try. Nothing was written.
    #[error("other writers were first on every try")]
    Conflict,
    /// The time for the request is over.
    #[error("the time for the request is over")]
    OutOfTime,
    /// The item has a format of a later version.
    #[error("the item has the unknown format {0}")]
    UnknownFormat(i64),
}

impl StoreError {
    fn request(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Request(Box::new(error))
    }
}

/// Random id of a write: the version of the item that it leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteId([u8; 8]);

impl WriteId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(random_bytes())
    }
}

impl Store {
    /// The table called `table`, which `client` calls.
    #[must_use]
    pub fn new(client: AwsClient, table: String, keyring: Arc<Keyring>) -> Self {
        Self {
            client,
            table,
            keyring,
            guards: Arc::default(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::{BTreeMap, VecDeque};
    use std::sync::{Mutex, MutexGuard};
    use std::time::Duration;

    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::body::SdkBody;
    use data_encoding::BASE64;
    use dynoxide::Database;
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::attributes::{self, Item};
    use super::*;
    use crate::domain::channel::Channel;
    use crate::domain::code::Code;
    use crate::domain::delivery::Cause;
    use crate::domain::ids::{DeliveryTag, RecordKey, VerificationNonce};
    use crate::domain::recipient::Recipient;
    use crate::domain::step::Step;
    use crate::domain::time::Timestamp;
    use crate::domain::verification::Verification;
    use crate::domain::verification::tests::verification;
    use crate::platform::aws::{Aws, AwsSettings, Service};
    use crate::platform::aws_client::RetryPolicy;
    use crate::platform::https;

    const TABLE: &str = "otp";
    const HOUR: Duration = Duration::from_secs(3600);
    pub(crate) const NOW: Timestamp = Timestamp(1_795_291_200);

    /// What happens to one HTTP request.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Fault {
        /// It has an effect and a response.
        None,
        /// It does not arrive.
        Refused,
        /// It has an effect, and its response is lost.
        Lost,
        /// It has an effect, and no response.
        Hung,
    }

    /// Both requests of one call.
    pub(crate) const REFUSED: [Fault; 2] = [Fault::Refused; 2];
    pub(crate) const LOST: [Fault; 2] = [Fault::Lost; 2];

    /// A table in this process, in memory, behind a client that fails where a test asks for it.
    pub(crate) struct TestTable {
        engine: Database,
        client: AwsClient,
        faults: Faults,
    }

    #[derive(Clone, Default, Debug)]
    struct Faults(Arc<Mutex<Requests>>);

    #[derive(Default, Debug)]
    struct Requests {
        count: usize,
        faults: VecDeque<Fault>,
    }

    impl TestTable {
        pub(crate) async fn start() -> Self {
            let engine = Database::memory().expect("an engine");
            let create = json!({
                "TableName": TABLE, "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{"AttributeName": attributes::KEY, "KeyType": "HASH"}],
                "AttributeDefinitions":
                    [{"AttributeName": attributes::KEY, "AttributeType": "B"}],
            });
            let create = serde_json::from_value(create).expect("a request");
            engine.create_table(create).expect("a table");
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("http://{}", listener.local_addr().expect("an address"));
            tokio::spawn(dynoxide::server::serve_on(listener, engine.clone()));
            let aws = Aws::new(AwsSettings {
                region: "eu-west-1".into(),
                access_key_id: "key".into(),
                secret_access_key: "secret".into(),
                session_token: None,
                endpoint_urls: [Some(url), None, None],
            });
            let faults = Faults::default();
            let connector = SharedHttpConnector::new(Connector {
                faults: faults.clone(),
                https: https::client(Duration::from_secs(1)),
            });
            let policy = RetryPolicy {
                attempts_max: 2,
                attempt_timeout: HOUR,
                call_timeout: HOUR,
                first_backoff: Duration::from_millis(1),
                backoff: Duration::from_millis(1),
            };
            let client = aws.client(Service::DynamoDb).through(connector, policy);
            Self {
                engine,
                client,
                faults,
            }
        }

        /// A store with the seal key `k1`.
        pub(crate) fn store(&self) -> Store {
            self.store_with(keyring(&["k1"]))
        }

        pub(crate) fn store_with(&self, keyring: Keyring) -> Store {
            Store::new(self.client.clone(), TABLE.to_owned(), Arc::new(keyring))
        }

        /// What happens to the next HTTP requests.
        pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
            self.faults.lock().faults.extend(faults);
        }

        /// Whether all faults have happened.
        pub(crate) fn has_failed(&self) -> bool {
            self.faults.lock().faults.is_empty()
        }

        /// HTTP requests so far.
        pub(crate) fn requests(&self) -> usize {
            self.faults.lock().count
        }

        /// Another writer changes the item under `key`.
        pub(crate) fn touch(&self, key: RecordKey) {
            let update = json!({
                "TableName": TABLE,
                "Key": {attributes::KEY: {"B": BASE64.encode(&key.0)}},
                "UpdateExpression": "SET write_id = :id",
                "ExpressionAttributeValues": {":id": {"B": BASE64.encode(&WriteId::random().0)}},
            });
            let update = serde_json::from_value(update).expect("a request");
            self.engine.update_item(update).expect("an update");
        }
    }

    impl Faults {
        fn lock(&self) -> MutexGuard<'_, Requests> {
            self.0.lock().expect("no panic")
        }
    }

    /// Keys of these ids; values are sealed under the last one.
    pub(crate) fn keyring(ids: &[&str]) -> Keyring {
        let keys = ids.iter().map(|id| {
            let last = id.as_bytes().last().copied().unwrap_or_default();
            ((*id).to_owned(), [last; 32])
        });
        let current = ids.last().copied().unwrap_or_default().to_owned();
        Keyring::new(current, &keys.collect::<BTreeMap<_, _>>(), &[2; 32])
    }

    pub(crate) const KEY: RecordKey = RecordKey([5; 12]);
    pub(crate) const NONCE: VerificationNonce = VerificationNonce([1; 4]);
    pub(crate) const TAG: DeliveryTag = DeliveryTag([1; 4]);

    /// A recipient whose first message is queued at [`NOW`].
    pub(crate) fn opened(keyring: &Keyring) -> Recipient {
        let mut current = verification(3);
        current.params.nonce = NONCE;
        current.params.created_at = NOW;
        current.params.expires_at = NOW + 300;
        let code = Code::from_stored("123456".into());
        let sealed = keyring.seal_code(KEY, &current.params, &code);
        (current.sealed_code, current.expected_hash) = (sealed.sealed, sealed.expected_hash);
        current.add_delivery(Channel::Sms, Cause::Requested, TAG, NOW);
        current.step = Step::due_now(1, NOW);
        let mut recipient = Recipient {
            app: "shop".into(),
            ..Recipient::default()
        };
        recipient.open(current, NOW);
        recipient
    }

    /// A store with this recipient under [`KEY`].
    pub(crate) async fn store_with_recipient(table: &TestTable, recipient: &Recipient) -> Store {
        let store = table.store();
        let saved = store.save(KEY, recipient, None, NOW).await;
        assert!(matches!(saved, Ok(SaveResult::Saved(_))), "{saved:?}");
        store
    }

    /// The current verification under [`KEY`].
    pub(crate) async fn stored_verification(store: &Store) -> Verification {
        let stored = store.load(KEY, "shop", NOW).await.expect("a read");
        stored.recipient.current.expect("a current verification")
    }

    /// The item under `key` as it is stored.
    pub(crate) async fn stored_item(store: &Store, key: RecordKey) -> Option<Item> {
        store.read_item(key).await.expect("a read")
    }

    #[derive(Debug)]
    struct Connector {
        faults: Faults,
        https: https::Client<SdkBody>,
    }

    impl HttpConnector for Connector {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let mut requests = self.faults.lock();
            requests.count += 1;
            let fault = requests.faults.pop_front().unwrap_or(Fault::None);
            drop(requests);
            let lost = || ConnectorError::io("the connection was lost".into());
            if fault == Fault::Refused {
                return HttpConnectorFuture::ready(Err(lost()));
            }
            let request = request.try_into_http1x().expect("a request");
            let response = self.https.request(request);
            HttpConnectorFuture::new(async move {
                let response = response
                    .await
                    .map_err(|error| ConnectorError::io(error.into()))?;
                match fault {
                    Fault::Lost => Err(lost()),
                    Fault::Hung => std::future::pending().await,
                    _ => Ok(HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                        .expect("a response")),
                }
            })
        }
    }

    #[tokio::test]
    async fn failed_retries_of_one_store_stop_no_other() {
        let (one, other) = (TestTable::start().await, TestTable::start().await);
        let store = one.store();
        // Until its budget is spent.
        let mut calls = 0;
        while one.requests() == 2 * calls {
            one.fail(REFUSED);
            assert!(store.load(KEY, "shop", NOW).await.is_err());
            calls += 1;
            assert!(calls < 200, "no retry was refused");
        }
        other.fail([REFUSED[0]]);
        assert!(other.store().load(KEY, "shop", NOW).await.is_ok());
    }
}
