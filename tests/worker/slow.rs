//! A worker whose table is slow, or that is cut off while a carrier keeps it waiting: nothing goes out that nobody waits
//! for any more, and no carrier is lost to the instance.

use serde_json::{Value, json};

use super::{TO, Workshop, batch, dispatch, failures};
use crate::carrier::{Behaviour, Carrier};
use crate::delivery::phone;
use crate::wire::{BROKEN, Call, Fault, Wired};

/// Each send and each fallback costs one, and there is money for two.
async fn workshop() -> Workshop {
    Workshop::open_with(json!({"price": 1}), &[("OTP_SPEND_PER_DAY", "2")]).await
}

/// Which calls the table keeps waiting.
type Fits = Box<dyn FnMut(&Call) -> bool + Send>;

fn updates(call: &Call, words: &str) -> bool {
    call.body["UpdateExpression"]
        .as_str()
        .is_some_and(|expression| expression.contains(words))
}

fn claims(call: &Call) -> bool {
    updates(call, "held = :until")
}

/// The read after the claim, of another record.
fn asks_for_breakers() -> Fits {
    let mut claimed = String::new();
    Box::new(move |call| {
        if claims(call) {
            call.key().clone_into(&mut claimed);
        }
        call.operation == "GetItem" && call.key() != claimed
    })
}

fn adds_a_message(call: &Call) -> bool {
    updates(call, "msgs.#tag = :delivery")
}

impl Workshop {
    /// A worker takes `body`, the table keeps it waiting at the calls that fit, and `meanwhile` happens.
    async fn kept_waiting(
        &self,
        body: &str,
        mut fits: Fits,
        fault: Fault,
        meanwhile: impl Future<Output = ()>,
    ) {
        let worker = self.worker_at(&self.wired.table.url().expect("a wire"));
        self.wired
            .table
            .break_by(move |call| fits(call).then_some(fault));
        let body = body.to_owned();
        let running =
            tokio::spawn(async move { carrier_worker::handle(&worker, batch(&[&body])).await });
        self.wired.table.frozen().await;
        meanwhile.await;
        self.wired.table.release();
        assert_eq!(failures(&running.await.expect("an answer")), [""; 0]);
    }

    /// On the workers' clock alone.
    fn advance(&self, seconds: i64) {
        self.clock
            .advance_to_millis(self.clock.now_millis() + seconds * 1000);
    }

    async fn delivery_status(&self, id: &str) -> Value {
        self.wired.service.show(id).await.body["delivery"]["status"].clone()
    }
}

#[tokio::test]
async fn a_message_that_the_table_held_up_until_its_code_was_as_good_as_dead_is_not_handed_over() {
    for fits in [Box::new(claims) as Fits, asks_for_breakers()] {
        let shop = workshop().await;
        let (id, body) = shop.sent(TO).await;
        shop.kept_waiting(&body, fits, Fault::Hold, async { shop.advance(294) })
            .await;
        assert_eq!(
            (shop.carrier.handed().len(), shop.delivery_status(&id).await),
            (0, json!("failed"))
        );
    }
}

#[tokio::test]
async fn a_message_that_the_table_held_up_is_not_handed_over_once_it_was_canceled() {
    for fits in [Box::new(claims) as Fits, asks_for_breakers()] {
        let shop = workshop().await;
        let (id, body) = shop.sent(TO).await;
        let meanwhile = async {
            assert_eq!(shop.wired.service.cancel(&id).await.status, 200);
            shop.advance(3);
        };
        shop.kept_waiting(&body, fits, Fault::HoldAnswer, meanwhile)
            .await;
        assert_eq!(
            (shop.carrier.handed().len(), shop.delivery_status(&id).await),
            (0, json!("failed"))
        );
    }
}

#[tokio::test]
async fn a_worker_that_stood_still_leaves_the_message_to_the_one_that_took_its_step() {
    let shop = workshop().await;
    let (id, body) = shop.sent(TO).await;
    let meanwhile = async {
        shop.advance(16);
        assert_eq!(
            failures(&carrier_worker::handle(&shop.worker(), batch(&[&body])).await),
            [""; 0]
        );
    };
    shop.kept_waiting(&body, asks_for_breakers(), Fault::Hold, meanwhile)
        .await;
    assert_eq!(
        (shop.carrier.handed().len(), shop.delivery_status(&id).await),
        (1, json!("sent"))
    );
}

#[tokio::test]
async fn a_fallback_that_nobody_waits_for_once_it_is_written_down_is_not_handed_over_and_costs_nothing()
 {
    for ending in ["canceled", "approved", "forgotten", "late"] {
        let shop = workshop().await;
        let (id, body) = shop
            .sent_with(json!({"to": TO, "fallback": ["voice"]}))
            .await;
        assert_eq!(
            failures(&carrier_worker::handle(&shop.worker(), batch(&[&body])).await),
            [""; 0]
        );
        let code = shop.carrier.handed()[0].code();
        shop.advance(61);
        let meanwhile = async {
            match ending {
                "canceled" => assert_eq!(shop.wired.service.cancel(&id).await.status, 200),
                "approved" => assert_eq!(
                    shop.wired.service.check(&id, &code).await.body["valid"],
                    true
                ),
                "forgotten" => assert_eq!(shop.wired.service.forget(TO).await.status, 200),
                _ => shop.advance(233),
            }
        };
        shop.kept_waiting(
            &dispatch(&id, 2),
            Box::new(adds_a_message),
            Fault::Hold,
            meanwhile,
        )
        .await;
        assert_eq!(shop.carrier.handed().len(), 1, "{ending}: the text alone");
        if ending != "forgotten" {
            let shown = shop.wired.service.show(&id).await.body;
            let states: Vec<_> = shown["deliveries"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|d| (d["channel"].clone(), d["status"].clone()))
                .collect();
            assert_eq!(
                states,
                [
                    (json!("sms"), json!("sent")),
                    (json!("voice"), json!("failed"))
                ],
                "{ending}"
            );
        }
        assert_eq!(
            shop.wired.service.send(&phone(7)).await.status,
            201,
            "{ending}: what the fallback would have cost is there"
        );
    }
}

#[tokio::test]
async fn a_further_message_that_could_not_be_written_down_is_charged_once() {
    let shop = workshop().await;
    let (id, body) = shop
        .sent_with(json!({"to": TO, "fallback": ["voice"]}))
        .await;
    assert_eq!(
        failures(&carrier_worker::handle(&shop.worker(), batch(&[&body])).await),
        [""; 0]
    );
    shop.advance(61);
    let worker = shop.worker_at(&shop.wired.table.url().expect("a wire"));
    shop.wired
        .table
        .break_by(|call| adds_a_message(call).then_some(BROKEN));
    assert_eq!(
        failures(&carrier_worker::handle(&worker, batch(&[&dispatch(&id, 2)])).await),
        ["m0"],
        "it comes again"
    );
    shop.wired.mend();
    shop.advance(16);
    assert_eq!(
        failures(&carrier_worker::handle(&worker, batch(&[&dispatch(&id, 2)])).await),
        [""; 0]
    );
    assert_eq!(
        shop.carrier.handed().len(),
        2,
        "there was money left for it"
    );
}

#[tokio::test]
async fn a_copy_of_a_dispatch_tells_no_message_as_failed_that_is_with_a_carrier() {
    let shop = Workshop::open_with(json!({"timeout_ms": 8000}), &[]).await;
    let (id, body) = shop.sent(TO).await;
    shop.carrier.behave(Behaviour::Hold);
    let running = tokio::spawn({
        let (worker, body) = (shop.worker(), body.clone());
        async move { carrier_worker::handle(&worker, batch(&[&body])).await }
    });
    shop.carrier.has(1).await;
    assert_eq!(shop.wired.service.cancel(&id).await.status, 200);
    assert_eq!(
        failures(&carrier_worker::handle(&shop.worker(), batch(&[&body])).await),
        [""; 0]
    );
    shop.carrier.release();
    assert_eq!(failures(&running.await.expect("an answer")), [""; 0]);
    assert_eq!(
        (shop.carrier.handed().len(), shop.delivery_status(&id).await),
        (1, json!("sent"))
    );
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
        async move {
            carrier_worker::handle(
                &worker,
                batch(&bodies.iter().map(String::as_str).collect::<Vec<_>>()),
            )
            .await
        }
    });
    shop.carrier.has(5).await;
    running.abort();
    assert!(running.await.is_err_and(|error| error.is_cancelled()));
    shop.carrier.behave(Behaviour::Accept);
    let (id, body) = shop.sent(TO).await;
    assert_eq!(
        failures(&carrier_worker::handle(&worker, batch(&[&body])).await),
        [""; 0]
    );
    assert_eq!(
        (shop.carrier.handed().len(), shop.delivery_status(&id).await),
        (6, json!("sent"))
    );
}

fn counts_a_failure(call: &Call) -> bool {
    updates(call, "ADD #f")
}

#[tokio::test]
async fn a_message_that_nobody_took_and_that_another_overtook_meanwhile_has_failed() {
    for overtaken_by in ["a resend", "a send"] {
        let shop = Workshop::open_with(json!({}), &[]).await;
        let (id, body) = shop.sent(TO).await;
        shop.carrier.behave(Behaviour::Answer(500, ""));
        let meanwhile = async {
            let answer = if overtaken_by == "a send" {
                shop.wired.service.send(TO).await
            } else {
                shop.wired.service.resend(&id).await
            };
            assert!(answer.status < 300, "{answer:?}");
        };
        shop.kept_waiting(&body, Box::new(counts_a_failure), Fault::Hold, meanwhile)
            .await;
        let shown = shop.wired.service.show(&id).await.body;
        assert_eq!(
            shown["deliveries"][0]["status"], "failed",
            "{overtaken_by}: no worker has it any more: {shown}"
        );
    }
}

#[tokio::test]
async fn what_a_dead_worker_had_in_hand_when_another_message_took_its_place_is_unknown() {
    for overtaken_by in ["a resend", "a send"] {
        let shop = Workshop::open_with(json!({"timeout_ms": 8000}), &[]).await;
        let (id, body) = shop.sent(TO).await;
        shop.carrier.behave(Behaviour::Hang);
        let running = tokio::spawn({
            let (worker, body) = (shop.worker(), body.clone());
            async move { carrier_worker::handle(&worker, batch(&[&body])).await }
        });
        shop.carrier.has(1).await;
        running.abort();
        assert!(running.await.is_err_and(|error| error.is_cancelled()));
        let answer = if overtaken_by == "a send" {
            shop.wired.service.send(TO).await
        } else {
            shop.wired.service.resend(&id).await
        };
        assert!(answer.status < 300, "{answer:?}");
        let first =
            async || shop.wired.service.show(&id).await.body["deliveries"][0]["status"].clone();
        assert_eq!(first().await, "sending", "{overtaken_by}");
        shop.advance(60);
        assert_eq!(
            failures(&carrier_worker::handle(&shop.worker(), batch(&[&body])).await),
            [""; 0]
        );
        assert_eq!(
            first().await,
            "unknown",
            "{overtaken_by}: it may have gone out"
        );
    }
}

#[tokio::test]
async fn a_code_that_dies_while_one_carrier_refuses_it_goes_to_no_other() {
    let carriers = [
        Carrier::start("first").await,
        Carrier::start("second").await,
    ];
    let entries: Value = carriers.iter().map(Carrier::entry).collect();
    let wired = Wired::start(&[("OTP_CARRIERS", &entries.to_string())]).await;
    carriers[0].behave(Behaviour::Answer(500, ""));
    wired
        .table
        .break_by(|call| counts_a_failure(call).then_some(Fault::Hold));
    let id = wired.service.send(TO).await.id();
    wired.table.frozen().await;
    assert_eq!(wired.service.cancel(&id).await.status, 200);
    wired.table.release();
    wired.service.settle().await;
    assert_eq!(
        (carriers[0].handed().len(), carriers[1].handed().len()),
        (1, 0)
    );
    assert_eq!(
        wired.service.show(&id).await.body["delivery"]["status"],
        "failed"
    );
}
