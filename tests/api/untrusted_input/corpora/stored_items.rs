//! Responses of the table with a stored recipient or subject, read by the store through the SDK.
//! Invariants: no panic; an item that cannot be read is an error or an absent value.

use std::cell::RefCell;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use otp::crypto::keyring::Keyring;
use otp::domain::ids::{RecordKey, SubjectKey};
use otp::domain::time::Timestamp;
use otp::platform::aws_client::AwsClient;
use otp::store::Store;
use tokio::runtime::Runtime;

thread_local! {
    static RESPONSE: RefCell<Vec<u8>> = const { RefCell::new(vec![]) };
    static SERVICE: (Runtime, Store) = (runtime(), store());
}

/// The table: it responds with the input.
#[derive(Debug)]
struct Table;

impl HttpConnector for Table {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let body = SdkBody::from(RESPONSE.with_borrow(Clone::clone));
        let status = 200.try_into().expect("a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, body)))
    }
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime")
}

fn store() -> Store {
    let client = AwsClient::in_process(SharedHttpConnector::new(Table), None);
    let keyring = Keyring::new("k1".into(), &[("k1".to_owned(), [1; 32])].into(), &[2; 32]);
    Store::new(client, "table".to_owned(), Arc::new(keyring))
}

/// Reads one input.
pub fn run(response: &[u8]) {
    RESPONSE.set(response.to_vec());
    SERVICE.with(|(runtime, store)| {
        let now = Timestamp(1000);
        let loaded = runtime.block_on(store.load(RecordKey([5; 12]), "shop", now));
        if let Ok(stored) = loaded {
            let recipient = stored.recipient;
            for verification in recipient.verifications() {
                let _ = (verification.status(now), verification.deliveries().len());
            }
            let _ = recipient.wrong_attempts();
        }
        let _ = runtime.block_on(store.load_subject(SubjectKey(RecordKey([5; 12]))));
    });
}
