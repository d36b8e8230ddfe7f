//! carrier-worker under the queue's semantics: duplicates, disorder, poison, crashes, redelivery. A dispatch is only ever
//! a reminder: the claim in the table decides who acts on it, and once.

mod slow;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use data_encoding::BASE64;
use otp::config::WorkerConfig;
use otp::platform::clock::Clock;
use otp::platform::metrics::Metrics;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::carrier::{Behaviour, Carrier};
use crate::delivery::phone;
use crate::given::with;
use crate::harness::{DEFAULT_KEY, Service};
use crate::wire::{BROKEN, Fault, THROTTLED, Wired};

const TO: &str = "+12025550143";

/// Puts a message onto the queue as anybody with access to it could.
async fn enqueue(service: &Service, body: &str, delay_seconds: i64) {
    let queue = Service::at(&service.sqs_url);
    let request = json!({"QueueUrl": format!("{}/queue", service.sqs_url), "MessageBody": body, "DelaySeconds": delay_seconds});
    let headers = [
        ("x-amz-target", "AmazonSQS.SendMessage"),
        ("content-type", "application/x-amz-json-1.0"),
    ];
    assert_eq!(
        queue
            .raw("POST", "/", &headers, request.to_string())
            .await
            .status,
        200
    );
}

fn dispatch(id: &str, sequence: u16) -> String {
    json!({"v": 1, "app": "default", "id": id, "step": sequence}).to_string()
}

/// A service whose dispatches a test takes out of the wire and gives to workers of its own, beside a carrier that counts.
struct Workshop {
    wired: Wired,
    carrier: Carrier,
    variables: Vec<(String, String)>,
    clock: Clock,
}

impl Workshop {
    async fn open() -> Self {
        Self::open_with(json!({}), &[]).await
    }

    /// With more in its carrier's entry, and more variables.
    async fn open_with(entry: Value, more: &[(&str, &str)]) -> Self {
        let carrier = Carrier::start("only").await;
        let key = BASE64.encode(&[7; 32]);
        let hash =
            data_encoding::HEXLOWER.encode(&otp::crypto::hashes::sha256(DEFAULT_KEY.as_bytes()));
        let secrets =
            json!({"seal": {"current": "k1", "keys": {"k1": key}}, "lookup": key, "api_keys": [{"app": "default", "sha256": hash}]}).to_string();
        let carriers = json!([with(carrier.entry(), &entry)]).to_string();
        let own = [
            ("OTP_SECRETS", secrets.as_str()),
            ("OTP_CARRIERS", &carriers),
            ("OTP_COOLDOWN_SECONDS", "0"),
        ];
        let wired = Wired::start(&[&own, more].concat()).await;
        wired.queue.break_all(Fault::Swallow);
        let own = [
            ("OTP_SECRETS", secrets.as_str()),
            ("OTP_CARRIERS", &carriers),
            ("OTP_TABLE", &wired.service.table),
            ("OTP_QUEUE_URL", &format!("{}/queue", wired.service.sqs_url)),
            ("OTP_PUBLIC_URL", &wired.service.base),
            ("AWS_REGION", "local"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_ENDPOINT_URL_SQS", &wired.service.sqs_url),
        ];
        let variables = own
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self {
            wired,
            carrier,
            variables,
            clock: Clock::default(),
        }
    }

    /// A worker, as a Lambda instance of its own.
    fn worker(&self) -> carrier_worker::State {
        self.worker_at(&self.wired.service.dynamodb_url)
    }

    /// The same, whose table is at `url`.
    fn worker_at(&self, url: &str) -> carrier_worker::State {
        let variable = |name: &str| {
            self.variables
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        };
        let lookup = |name: &str| {
            if name == "AWS_ENDPOINT_URL_DYNAMODB" {
                Some(url.to_owned())
            } else {
                variable(name)
            }
        };
        let config = WorkerConfig::read(&lookup).unwrap_or_else(|error| panic!("{error}"));
        carrier_worker::State::new(config, self.clock.clone(), Metrics::to_sink(|_| {}))
    }

    /// Opens a verification and takes its dispatch out of the wire.
    async fn sent(&self, to: &str) -> (String, String) {
        self.sent_with(json!({"to": to})).await
    }

    async fn sent_with(&self, body: Value) -> (String, String) {
        let answer = self
            .wired
            .service
            .call("POST", "/v1/verifications", Some(body))
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let calls = self.wired.queue.take_calls();
        (
            answer.id(),
            calls[0].body["MessageBody"]
                .as_str()
                .expect("a dispatch")
                .to_owned(),
        )
    }
}

fn batch(bodies: &[&str]) -> SqsEvent {
    let mut event = SqsEvent::default();
    let message = |(n, body): (usize, &&str)| {
        let mut message = SqsMessage::default();
        message.message_id = Some(format!("m{n}"));
        message.body = Some((*body).to_owned());
        message
    };
    event.records = bodies.iter().enumerate().map(message).collect();
    event
}

fn failures(response: &SqsBatchResponse) -> Vec<&str> {
    response
        .batch_item_failures
        .iter()
        .map(|failure| failure.item_identifier.as_str())
        .collect()
}

#[tokio::test]
async fn a_poison_record_fails_alone_and_the_others_are_sent_once() {
    let shop = Workshop::open().await;
    let mut bodies = vec![];
    for n in 0..6 {
        bodies.push(shop.sent(&phone(n)).await.1);
    }
    for poison in [
        "",
        "poison",
        "{}",
        "[]",
        "null",
        "{\"v\":1}",
        &dispatch("ve_nonsense", 1),
        &bodies[0].replace("\"v\":1", "\"v\":2"),
    ] {
        let mut with_poison: Vec<&str> = bodies.iter().map(String::as_str).collect();
        with_poison.insert(3, poison);
        let response = carrier_worker::handle(&shop.worker(), batch(&with_poison)).await;
        assert_eq!(failures(&response), ["m3"], "{poison}");
        let mut phones: Vec<String> = shop
            .carrier
            .handed()
            .iter()
            .map(|handed| handed.to().to_owned())
            .collect();
        phones.sort();
        assert_eq!(
            phones,
            (0..6).map(phone).collect::<Vec<_>>(),
            "each once, however often the batch comes"
        );
    }
}

#[tokio::test]
async fn poison_goes_to_the_dead_letters_after_three_receives() {
    let service = Service::start().await;
    enqueue(&service, "poison", 0).await;
    let ids = [
        service.send(TO).await.id(),
        service.send(&phone(1)).await.id(),
    ];
    for received in 1..=3 {
        service.settle().await;
        let state = service.state().await;
        assert_eq!(
            (
                state["queue"][0]["receives"].as_u64(),
                &state["dead_letters"]
            ),
            (Some(received), &json!([]))
        );
        service.advance(61).await;
    }
    let state = service.state().await;
    assert_eq!(
        (&state["queue"], &state["dead_letters"][0]["body"]),
        (&json!([]), &json!("poison"))
    );
    assert_eq!(state["dead_letters"][0]["receives"], 3);
    service.advance(3600).await;
    assert_eq!(
        service.state().await["dead_letters"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    for (to, id) in [TO, &phone(1)].into_iter().zip(ids) {
        let messages = service.messages(to).await;
        assert_eq!(
            (messages.len(), messages[0]["verification_id"].as_str()),
            (1, Some(id.as_str())),
            "the others are sent once"
        );
    }
}

#[tokio::test]
async fn copies_of_a_dispatch_that_come_at_once_send_once() {
    let shop = Workshop::open().await;
    for n in 0..10 {
        let (_, body) = shop.sent(&phone(n)).await;
        let mut running = JoinSet::new();
        for _ in 0..8 {
            let (worker, body) = (shop.worker(), body.clone());
            running.spawn(
                async move { carrier_worker::handle(&worker, batch(&[&body, &body])).await },
            );
        }
        assert!(
            running
                .join_all()
                .await
                .iter()
                .all(|response| response.batch_item_failures.is_empty())
        );
        let calls = shop
            .carrier
            .handed()
            .iter()
            .filter(|handed| handed.to() == phone(n))
            .count();
        assert_eq!(calls, 1, "phone {n}: the claim lets one through");
    }
}

#[tokio::test]
async fn copies_of_a_dispatch_that_come_later_send_nothing() {
    let service = Service::start_with(&[("OTP_COOLDOWN_SECONDS", "0")]).await;
    let id = service.send(TO).await.id();
    service.settle().await;
    for sequence in 0..5 {
        for delay in [0, 0, 1, 20, 70] {
            enqueue(&service, &dispatch(&id, sequence), delay).await;
        }
    }
    service.advance(200).await;
    assert_eq!(service.messages(TO).await.len(), 1);
    assert_eq!(service.resend(&id).await.status, 200);
    service.settle().await;
    for sequence in 0..9 {
        enqueue(&service, &dispatch(&id, sequence), 0).await;
    }
    service.advance(200).await;
    assert_eq!(service.messages(TO).await.len(), 2, "one a send");
    service.advance(1200).await;
    assert_eq!(service.messages(TO).await.len(), 2);
    let state = service.state().await;
    assert_eq!(
        (&state["queue"], &state["dead_letters"]),
        (&json!([]), &json!([])),
        "and all of them are done with"
    );
}

#[tokio::test]
async fn dispatches_out_of_order_send_what_is_current() {
    let shop = Workshop::open().await;
    let (id, first) = shop.sent(TO).await;
    assert_eq!(shop.wired.service.resend(&id).await.status, 200);
    let second = shop.wired.queue.take_calls()[0].body["MessageBody"]
        .as_str()
        .expect("a dispatch")
        .to_owned();
    let worker = shop.worker();
    for body in [&second, &first, &second, &first] {
        assert!(
            carrier_worker::handle(&worker, batch(&[body]))
                .await
                .batch_item_failures
                .is_empty()
        );
    }
    let handed = shop.carrier.handed();
    assert_eq!(handed.len(), 1, "the first one's number is stale");
    assert_eq!(
        shop.wired.service.check(&id, &handed[0].code()).await.body["valid"],
        true
    );
}

#[tokio::test]
async fn a_redriven_dispatch_of_an_expired_verification_sends_nothing() {
    let shop = Workshop::open().await;
    let (id, body) = shop.sent(TO).await;
    shop.wired.service.advance(301).await;
    shop.clock
        .advance_to_millis(shop.clock.now_millis() + 301_000);
    let response = carrier_worker::handle(&shop.worker(), batch(&[&body])).await;
    assert!(response.batch_item_failures.is_empty(), "it is done with");
    assert_eq!(shop.carrier.handed().len(), 0);
    let shown = shop.wired.service.show(&id).await.body;
    assert_eq!(
        (&shown["status"], &shown["delivery"]["status"]),
        (&json!("expired"), &json!("failed"))
    );
}

#[tokio::test]
async fn a_dispatch_in_the_last_seconds_of_a_code_sends_nothing() {
    let shop = Workshop::open().await;
    let (_, body) = shop.sent(TO).await;
    shop.clock
        .advance_to_millis(shop.clock.now_millis() + 294_000);
    assert!(
        carrier_worker::handle(&shop.worker(), batch(&[&body]))
            .await
            .batch_item_failures
            .is_empty()
    );
    assert_eq!(shop.carrier.handed().len(), 0, "it would arrive dead");
}

#[tokio::test]
async fn dispatches_of_something_gone_or_of_another_app_are_done_with() {
    let shop = Workshop::open().await;
    let (_, body) = shop.sent(TO).await;
    let of_shop = body.replace("\"default\"", "\"shop\"");
    let response = carrier_worker::handle(&shop.worker(), batch(&[&of_shop])).await;
    assert_eq!(
        (failures(&response).len(), shop.carrier.handed().len()),
        (0, 0),
        "no such verification there"
    );
    assert_eq!(
        shop.wired
            .service
            .call("POST", "/v1/recipients/forget", Some(json!({"to": TO})))
            .await
            .status,
        200
    );
    let response = carrier_worker::handle(&shop.worker(), batch(&[&body])).await;
    assert_eq!(
        (failures(&response).len(), shop.carrier.handed().len()),
        (0, 0),
        "forgotten"
    );
}

#[tokio::test]
async fn a_worker_that_dies_after_its_claim_is_followed_by_another() {
    let wired = Wired::start(&[]).await;
    let service = &wired.service;
    // Its claim passes and nothing after it, but for the carrier's call, which the breakers' record does not hold up.
    let mut claims = 0;
    wired.table.break_by(move |call| {
        let is_claim = call.body["UpdateExpression"]
            .as_str()
            .is_some_and(|e| e.contains("held = :until"));
        claims += usize::from(is_claim);
        (is_claim && claims == 1).then_some(Fault::LoseAnswer)
    });
    let id = service.send(TO).await.id();
    service.settle().await;
    wired.mend();
    assert_eq!(
        (
            service.messages(TO).await.len(),
            &service.show(&id).await.body["delivery"]["status"]
        ),
        (0, &json!("sending"))
    );
    service.advance(62).await;
    assert_eq!(
        service.messages(TO).await.len(),
        1,
        "after the queue's visibility time"
    );
    assert_eq!(service.show(&id).await.body["delivery"]["status"], "sent");
}

#[tokio::test]
async fn a_worker_that_dies_after_the_carrier_took_it_repeats_the_same_message_at_most() {
    let carrier = Carrier::start("only").await;
    let wired = Wired::start(&[("OTP_CARRIERS", &json!([carrier.entry()]).to_string())]).await;
    let service = &wired.service;
    let mut ends = 0;
    wired.table.break_by(move |call| {
        let is_end = call.body["UpdateExpression"]
            .as_str()
            .is_some_and(|e| e.contains("seq = :next"));
        ends += usize::from(is_end);
        (is_end && ends == 1).then_some(BROKEN)
    });
    let id = service.send(TO).await.id();
    service.advance(200).await;
    let handed = carrier.handed();
    assert_eq!(
        handed.len(),
        2,
        "nobody can know, so it is handed over once more"
    );
    assert_eq!(
        (handed[0].reference(), handed[0].code()),
        (handed[1].reference(), handed[1].code()),
        "under the same name, for the carrier to tell"
    );
    assert_eq!(service.show(&id).await.body["delivery"]["status"], "sent");
    assert_eq!(service.state().await["queue"], json!([]));
}

/// The next `count` claims meet `fault`; what else is written does not.
fn break_claims(wired: &Wired, count: usize, fault: Fault) {
    let mut met = 0;
    wired.table.break_by(move |call| {
        let is_claim = call.body["UpdateExpression"]
            .as_str()
            .is_some_and(|e| e.contains("held = :until"));
        met += usize::from(is_claim);
        (is_claim && met <= count).then_some(fault)
    });
}

#[tokio::test]
async fn a_claim_that_is_throttled_is_made_later() {
    let wired = Wired::start(&[]).await;
    break_claims(&wired, 3, THROTTLED);
    wired.service.send(TO).await;
    wired.service.advance(62).await;
    assert_eq!(wired.service.messages(TO).await.len(), 1);
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_still_this_workers() {
    let wired = Wired::start(&[]).await;
    break_claims(&wired, 1, Fault::DropAnswer);
    let id = wired.service.send(TO).await.id();
    let before = wired.service.now().await;
    assert_eq!(wired.service.messages(TO).await.len(), 1);
    assert!(wired.service.now().await - before < 10, "at once");
    assert_eq!(
        wired.service.show(&id).await.body["delivery"]["status"],
        "sent"
    );
}

/// Breaks the first write that ends a step with `fault`.
fn break_first_end(wired: &Wired, fault: Fault) {
    let mut ends = 0;
    wired.table.break_by(move |call| {
        let is_end = call.body["UpdateExpression"]
            .as_str()
            .is_some_and(|e| e.contains("seq = :next"));
        ends += usize::from(is_end);
        (is_end && ends == 1).then_some(fault)
    });
}

#[tokio::test]
async fn a_fallback_is_still_planned_when_the_answer_that_said_so_was_lost() {
    let wired = Wired::start(&[]).await;
    break_first_end(&wired, Fault::DropAnswer);
    wired
        .service
        .call(
            "POST",
            "/v1/verifications",
            Some(json!({"to": TO, "fallback": ["voice"]})),
        )
        .await
        .id();
    wired.service.advance(90).await;
    let channels: Vec<Value> = wired
        .service
        .messages(TO)
        .await
        .into_iter()
        .map(|m| m["channel"].clone())
        .collect();
    assert_eq!(channels, [json!("sms"), json!("voice")]);
}

#[tokio::test]
async fn an_unknown_outcome_is_still_followed_up_when_the_answer_that_said_so_was_lost() {
    let (first, second) = (
        Carrier::start("first").await,
        Carrier::start("second").await,
    );
    let wired = Wired::start(&[(
        "OTP_CARRIERS",
        &json!([first.entry(), second.entry()]).to_string(),
    )])
    .await;
    first.behave(Behaviour::Hang);
    break_first_end(&wired, Fault::DropAnswer);
    wired.service.send(TO).await;
    wired.service.advance(40).await;
    assert_eq!((first.handed().len(), second.handed().len()), (1, 1));
}

#[tokio::test]
async fn a_planned_step_that_could_not_be_enqueued_is_made_up_for() {
    let (first, second) = (
        Carrier::start("first").await,
        Carrier::start("second").await,
    );
    let wired = Wired::start(&[(
        "OTP_CARRIERS",
        &json!([first.entry(), second.entry()]).to_string(),
    )])
    .await;
    first.behave(Behaviour::Hang);
    let mut enqueued = 0;
    wired.queue.break_by(move |_| {
        enqueued += 1;
        (enqueued == 2).then_some(BROKEN)
    });
    wired.service.send(TO).await;
    wired.service.advance(90).await;
    assert_eq!(
        (first.handed().len(), second.handed().len()),
        (1, 1),
        "by the dispatch before it, which comes again"
    );
    assert_eq!(wired.service.state().await["queue"], json!([]));
}
