//! What a country's conversion guard costs, in the units that the engine reports. The test calls
//! the store directly, with a clock of its own, as several instances that share the table.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use otp::crypto::keyring::Keyring;
use otp::domain::address::Address;
use otp::domain::conversion::Sample;
use otp::domain::ids::{RecordKey, VerificationNonce};
use otp::domain::money::Money;
use otp::domain::phone::PhoneNumber;
use otp::domain::policy::Policy;
use otp::domain::time::Timestamp;
use otp::platform::aws::{Aws, AwsSettings, Service as AwsService};
use otp::platform::random::random_bytes;
use otp::store::{ReserveOrder, ReserveResult, ReserveTime, Store};
use tokio::time::Instant;

use crate::support::{Fault, FaultProxy, Service, stored_items};

/// Longer than any reservation takes.
const RESERVE_TIME_MAX: Duration = Duration::from_secs(60);

const START: Timestamp = Timestamp(1_795_291_200);

/// A table behind a proxy, and instances of `send`.
struct Country {
    service: Service,
    proxy: FaultProxy,
    instances: Vec<Store>,
    sends: u32,
}

impl Country {
    async fn start(instances: usize) -> Self {
        let (service, proxy) = (Service::start().await, FaultProxy::open().await);
        proxy.set_target(&service.dynamodb_url);
        // The window of the prefix is not what is counted.
        proxy.break_by(|call| call.reserves_in_window().then_some(Fault::FakeSuccess));
        let aws = Aws::new(AwsSettings {
            region: "eu-west-1".into(),
            access_key_id: "key".into(),
            secret_access_key: "secret".into(),
            session_token: None,
            endpoint_urls: [proxy.url(), None, None],
        });
        let keys = BTreeMap::from([("k1".to_owned(), [7; 32])]);
        let keyring = Arc::new(Keyring::new("k1".into(), &keys, &[8; 32]));
        let dynamodb = aws.client(AwsService::DynamoDb);
        let store = || Store::new(dynamodb.clone(), service.table.clone(), keyring.clone());
        Self {
            instances: (0..instances).map(|_| store()).collect(),
            service,
            proxy,
            sends: 0,
        }
    }

    /// `count` sends, so many a second; all pass.
    async fn send(&mut self, count: u32, per_second: f64) {
        let phone = PhoneNumber::parse("+12025550143", None).expect("a number");
        let to = Address::Phone(phone);
        let policy = Policy::default();
        for n in 0..count {
            let now = START + (f64::from(n) / per_second) as i64;
            let sample = Sample {
                recipient: RecordKey(random_bytes()),
                verification: VerificationNonce(random_bytes()),
                at: now,
                salt: random_bytes(),
            };
            let until = Instant::now() + RESERVE_TIME_MAX;
            let time = ReserveTime {
                until,
                release_until: until,
            };
            let store = &self.instances[n as usize % self.instances.len()];
            let limits =
                store.shared_limits("default", &policy, None, &to, Money::default(), sample);
            let result = store
                .reserve(sample.recipient, &limits, ReserveOrder::AtOnce, time, now)
                .await
                .expect("a result");
            assert!(matches!(result, ReserveResult::Reserved(_)), "{result:?}");
        }
        self.sends += count;
    }

    /// Write units of the country's items for each send.
    fn units_per_send(&self) -> f64 {
        let calls = self.proxy.take_calls();
        let writes = calls.iter().filter(|call| {
            assert_ne!(call.operation, "PutItem");
            call.operation == "UpdateItem" && !call.reserves_in_window()
        });
        // The engine does not report a write whose condition failed. Each item is below 1 KiB.
        let units: f64 = writes.map(|call| call.units.unwrap_or(1.0)).sum();
        units / f64::from(self.sends)
    }
}

#[tokio::test]
async fn send_at_a_low_rate_costs_one_unit() {
    // For less than ten minutes: no outcome is due.
    for (per_second, sends) in [(0.1, 59), (1.0, 300)] {
        let mut country = Country::start(2).await;
        country.send(sends, per_second).await;
        let units = country.units_per_send();
        println!("{per_second} sends a second: {units:.3} write units each");
        assert!((0.95..1.06).contains(&units), "{per_second}/s: {units}");
    }
}

#[tokio::test]
async fn send_at_a_high_rate_costs_a_fraction() {
    let mut country = Country::start(4).await;
    country.send(3_000, 100.0).await;
    let units = country.units_per_send();
    println!("100 sends a second: {units:.3} write units each");
    assert!(units < 0.3, "{units} at a hundred sends a second");
}

#[tokio::test]
async fn every_item_fits_one_unit() {
    let mut country = Country::start(3).await;
    country.send(600, 10.0).await;
    let sizes: Vec<usize> = stored_items(&country.service)
        .await
        .iter()
        .map(crate::operations::item_sizes::size)
        .collect();
    println!("bytes of the items: {sizes:?}");
    assert!(sizes.len() >= 5, "the guard and four shards: {sizes:?}");
    assert!(sizes.iter().all(|bytes| *bytes <= 1024), "{sizes:?}");
}
