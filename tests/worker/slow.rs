//! A worker that is cut off while a carrier keeps it waiting: no carrier is lost to the instance.

use serde_json::{Value, json};

use super::{TO, Workshop, batch, failures};
use crate::carrier::Behaviour;
use crate::delivery::phone;

impl Workshop {
    async fn delivery_status(&self, id: &str) -> Value {
        self.wired.service.show(id).await.body["delivery"]["status"].clone()
    }
}

#[tokio::test]
async fn calls_that_were_cut_off_do_not_shut_their_carrier_out() {
    let shop = Workshop::open_with(json!({"timeout_ms": 8000}), &[]).await;
    let worker = shop.worker();
    let mut bodies = vec![];
    for n in 0..5 {
        bodies.push(shop.sent(&phone(n)).await.1);
    }
    shop.carrier.behave(Behaviour::Hang);
    let running = tokio::spawn({
        let worker = worker.clone();
        async move { carrier_worker::handle(&worker, batch(&bodies.iter().map(String::as_str).collect::<Vec<_>>())).await }
    });
    shop.carrier.has(5).await;
    running.abort();
    assert!(running.await.is_err_and(|error| error.is_cancelled()));
    shop.carrier.behave(Behaviour::Accept);
    let (id, body) = shop.sent(TO).await;
    assert_eq!(failures(&carrier_worker::handle(&worker, batch(&[&body])).await), [""; 0]);
    assert_eq!((shop.carrier.handed().len(), shop.delivery_status(&id).await), (6, json!("sent")));
}
