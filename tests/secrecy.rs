//! Secrecy: after flows of every kind with canaries, no code and no number can be read anywhere but on the phones and in the
//! `to` of an answer: not at rest, not in an error, not in what the process prints.

use std::collections::BTreeSet;
use std::sync::Mutex;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use md5::Digest as _;
use ring::digest;
use serde_json::{Value, json};

use crate::given::{NO_SEND_LIMITS, phone, with};
use crate::harness::{Answer, DEFAULT_KEY, SHOP_KEY, Service, other_than};
use crate::spawned::Process;

const EMAIL: &str = "canary.person@secret-domain.example";
const IDEMPOTENCY_KEY: &str = "idempotency-canary-7f3a";
const BAD_KEY: &str = "otp_test_canary_of_a_wrong_key";

/// The service, and all that it said and all that it was told to keep.
struct Witness {
    process: Process,
    answers: Mutex<Vec<(String, Answer)>>,
    codes: Mutex<BTreeSet<String>>,
}

impl Witness {
    async fn start() -> Self {
        let process = Process::start(&NO_SEND_LIMITS, None).await;
        Self {
            process,
            answers: Mutex::default(),
            codes: Mutex::default(),
        }
    }

    fn service(&self) -> &Service {
        &self.process.service
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        self.call_as(DEFAULT_KEY, method, path, body, &[]).await
    }

    async fn call_as(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
        more: &[(&str, &str)],
    ) -> Value {
        let answer = self.service().call_as(key, method, path, body, more).await;
        let said = answer.body.clone();
        self.answers
            .lock()
            .expect("no poison")
            .push((format!("{method} {path}"), answer));
        said
    }

    async fn send(&self, body: Value) -> String {
        let sent = self.call("POST", "/v1/verifications", Some(body)).await;
        self.service().settle().await;
        self.learn(sent["to"].as_str().unwrap_or_default()).await;
        sent["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{sent}"))
            .to_owned()
    }

    async fn check(&self, id: &str, code: &str) {
        self.codes
            .lock()
            .expect("no poison")
            .insert(code.to_owned());
        self.call(
            "POST",
            &format!("/v1/verifications/{id}/check"),
            Some(json!({"code": code})),
        )
        .await;
    }

    /// Remembers the codes on a phone; the latest one.
    async fn learn(&self, to: &str) -> String {
        let messages = self.service().messages_now(to).await;
        let codes: Vec<String> = messages
            .iter()
            .filter_map(|message| message["code"].as_str().map(str::to_owned))
            .collect();
        self.codes
            .lock()
            .expect("no poison")
            .extend(codes.iter().cloned());
        codes.last().cloned().unwrap_or_default()
    }

    async fn carriers(&self, behaviour: Value) {
        for name in ["sim-a", "sim-b"] {
            self.service().carrier(name, behaviour.clone()).await;
        }
    }
}

/// Numbers that are used, in E.164.
fn numbers() -> Vec<String> {
    (1..=30).map(phone).collect()
}

/// What must not be read: numbers in every spelling, e-mail addresses, and what both look like in base64 and hexadecimal.
fn spellings() -> Vec<Vec<u8>> {
    let of_number = |e164: String| {
        let (digits, national) = (e164[1..].to_owned(), e164[3..].to_owned());
        [e164, digits, format!("0{national}"), national]
    };
    let plain: Vec<String> = numbers()
        .into_iter()
        .flat_map(of_number)
        .chain([EMAIL.to_owned(), EMAIL.replace('@', "%40")])
        .collect();
    let encoded = |text: &String| {
        let bytes = text.as_bytes();
        [
            BASE64_NOPAD.encode(bytes),
            BASE64URL_NOPAD.encode(bytes),
            HEXLOWER.encode(bytes),
            HEXUPPER.encode(bytes),
        ]
        .map(String::into_bytes)
    };
    plain
        .iter()
        .flat_map(|text| [vec![text.clone().into_bytes()], encoded(text).to_vec()].concat())
        .collect()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Whether `code` stands in `text` as a word.
fn holds_word(text: &str, code: &str) -> bool {
    text.match_indices(code).any(|(at, _)| {
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !is_word(text[..at].chars().next_back()) && !is_word(text[at + code.len()..].chars().next())
    })
}

/// What a string holds if it is base64 or hexadecimal.
fn decoded(text: &str) -> Vec<Vec<u8>> {
    [&BASE64, &BASE64_NOPAD, &BASE64URL_NOPAD, &HEXLOWER]
        .into_iter()
        .filter_map(|encoding| encoding.decode(text.as_bytes()).ok())
        .collect()
}

/// All strings of a document, names included.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().flat_map(strings).collect(),
        Value::Object(object) => object
            .iter()
            .flat_map(|(name, value)| [vec![name.clone()], strings(value)].concat())
            .collect(),
        _ => vec![],
    }
}

/// Holds that `text` has no number and no code.
fn assert_mute(place: &str, text: &str, codes: &BTreeSet<String>) {
    for spelling in spellings() {
        assert!(
            !contains(text.as_bytes(), &spelling),
            "{place} holds {}: {text}",
            String::from_utf8_lossy(&spelling)
        );
    }
    for code in codes {
        assert!(
            !holds_word(text, code),
            "{place} holds the code {code}: {text}"
        );
    }
}

/// Holds that the state, raw and with everything decoded, has no number and no code, and that no key is a plain hash.
fn assert_sealed(state: &Value, codes: &BTreeSet<String>) {
    assert_mute("/local/state", &state.to_string(), codes);
    let hidden: Vec<Vec<u8>> = strings(state)
        .iter()
        .flat_map(|text| decoded(text))
        .collect();
    let hashes: Vec<Vec<u8>> = numbers()
        .iter()
        .map(String::as_str)
        .chain([EMAIL])
        .flat_map(plain_hashes)
        .collect();
    for bytes in &hidden {
        for spelling in spellings() {
            assert!(
                !contains(bytes, &spelling),
                "{} rests readable",
                String::from_utf8_lossy(&spelling)
            );
        }
        assert!(
            codes.iter().all(|code| !contains(bytes, code.as_bytes())),
            "a code rests readable"
        );
        assert!(
            hashes.iter().all(|hash| !contains(bytes, &hash[..8])),
            "a plain hash of a number rests"
        );
    }
    assert!(
        hidden.len() > 50,
        "the scan has something to look at: {}",
        hidden.len()
    );
}

/// What a careless key of a recipient could be.
fn plain_hashes(address: &str) -> Vec<Vec<u8>> {
    let digits = address.trim_start_matches('+');
    let mut inputs = vec![address.to_owned(), digits.to_owned()];
    for separator in ["", ":", "#", "/", "|", "\0"] {
        inputs.extend(["default", "shop"].map(|app| format!("{app}{separator}{address}")));
    }
    let of = |input: &String| {
        let bytes = input.as_bytes();
        let ring = |algorithm| digest::digest(algorithm, bytes).as_ref().to_vec();
        [
            ring(&digest::SHA256),
            ring(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            ring(&digest::SHA512),
            md5::Md5::digest(bytes).to_vec(),
        ]
    };
    inputs.iter().flat_map(of).collect()
}

/// Every outcome of a check, every way to end, every channel.
async fn flows(witness: &Witness) {
    for (n, channel) in [(1, "sms"), (2, "voice"), (3, "whatsapp")] {
        let to = phone(n);
        let id = witness
            .send(json!({"to": to, "channel": channel, "reference": "r", "code_length": 5 + n}))
            .await;
        let code = witness.learn(&to).await;
        witness.check(&id, &other_than(&code)).await;
        witness
            .call(
                "POST",
                &format!("/v1/verifications/{id}/resend"),
                Some(json!({"channel": "voice"})),
            )
            .await;
        witness.check(&id, &code).await;
        witness.check(&id, &code).await;
        witness
            .call("GET", &format!("/v1/verifications/{id}"), None)
            .await;
        for message in witness.service().messages(&to).await {
            for status in ["sent", "delivered", "undelivered"] {
                witness.service().report(&message, status).await;
            }
        }
    }
    let email = witness.send(json!({"to": EMAIL, "channel": "email"})).await;
    let code = witness.learn(EMAIL).await;
    witness.check(&email, &code).await;
    let to = phone(4);
    let superseded = witness.send(json!({"to": to})).await;
    let canceled = witness.send(json!({"to": to})).await;
    let code = witness.learn(&to).await;
    witness
        .call("DELETE", &format!("/v1/verifications/{canceled}"), None)
        .await;
    for id in [&superseded, &canceled] {
        witness.check(id, &code).await;
    }
    for _ in 0..6 {
        let pending = witness.send(json!({"to": phone(5)})).await;
        let code = witness.learn(&phone(5)).await;
        for _ in 0..3 {
            witness.check(&pending, &other_than(&code)).await;
        }
    }
    for path in ["/v1/recipients/unlock", "/v1/recipients/forget"] {
        witness
            .call("POST", path, Some(json!({"to": phone(5)})))
            .await;
    }
}

/// Everything that is refused, with the canaries where a careless caller puts them.
async fn errors(witness: &Witness) {
    let to = phone(6);
    let id = witness.send(json!({"to": to})).await;
    let code = witness.learn(&to).await;
    for body in [
        json!({"to": format!("{to},{}", phone(7))}),
        json!({"to": format!("{to} x5")}),
        json!({"to": &to[3..]}),
        json!({"to": format!("tel:{to}")}),
        json!({"to": to, "channel": "email"}),
        json!({"to": EMAIL}),
        json!({"to": to, "purpose": to, "locale": to, "country": to, "channel": to, "client_ip": to, "reference": to.repeat(9)}),
        json!({"to": to, "transaction": {"amount": "", "currency": code, "payee": to}}),
        json!({"to": [to]}),
        json!({"to": to, "code": code}),
    ] {
        witness.call("POST", "/v1/verifications", Some(body)).await;
    }
    for body in [json!({"code": format!("{code}x")}), json!({"code": [code]})] {
        witness
            .call("POST", &format!("/v1/verifications/{id}/check"), Some(body))
            .await;
    }
    for path in [
        format!("/v1/verifications/{to}"),
        format!("/v1/verifications/{code}"),
        format!("/v1/verifications/{id}/{code}"),
        format!("/{to}"),
    ] {
        witness.call("GET", &path, None).await;
        witness.call("PUT", &path, Some(json!({"to": to}))).await;
    }
    witness
        .call_as(
            BAD_KEY,
            "POST",
            "/v1/verifications",
            Some(json!({"to": to})),
            &[],
        )
        .await;
    witness
        .call_as(
            SHOP_KEY,
            "GET",
            &format!("/v1/verifications/{id}"),
            None,
            &[],
        )
        .await;
    let key = [("idempotency-key", IDEMPOTENCY_KEY)];
    for body in [
        json!({"to": phone(8)}),
        json!({"to": phone(8)}),
        json!({"to": phone(8), "purpose": "other"}),
    ] {
        witness
            .call_as(DEFAULT_KEY, "POST", "/v1/verifications", Some(body), &key)
            .await;
    }
    for attempt in [&other_than(&code), &other_than(&code), &code] {
        let path = format!("/v1/verifications/{id}/check");
        witness
            .call_as(
                DEFAULT_KEY,
                "POST",
                &path,
                Some(json!({"code": attempt})),
                &key,
            )
            .await;
    }
    for (bearer, body) in [
        (DEFAULT_KEY, format!("{{\"to\":\"{to}\"")),
        (DEFAULT_KEY, format!("{{\"to\":\"{to}\",\"to\":\"{to}\"}}")),
        (BAD_KEY, to.clone()),
    ] {
        let authorization = format!("Bearer {bearer}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
        ];
        let answer = witness
            .service()
            .raw("POST", "/v1/verifications", &headers, body)
            .await;
        witness
            .answers
            .lock()
            .expect("no poison")
            .push(("malformed".into(), answer));
    }
    let forged = format!("{{\"status\":\"delivered\",\"to\":\"{to}\",\"text\":\"{code}\"}}");
    let answer = witness
        .service()
        .raw("POST", &format!("/v1/callbacks/sim-a/{code}"), &[], forged)
        .await;
    witness
        .answers
        .lock()
        .expect("no poison")
        .push(("forged".into(), answer));
}

/// Every way in which a carrier fails, but for the one that takes two seconds.
async fn failures(witness: &Witness) {
    for (n, mode) in [
        (10, "reject"),
        (11, "throttle"),
        (12, "error"),
        (13, "down"),
        (14, "lose"),
    ] {
        witness.carriers(json!({"mode": mode})).await;
        let id = witness
            .send(json!({"to": phone(n), "fallback": ["voice"]}))
            .await;
        witness.service().advance(90).await;
        witness
            .call("GET", &format!("/v1/verifications/{id}"), None)
            .await;
    }
    witness.carriers(json!({"mode": "ok"})).await;
    witness.service().advance(120).await;
    for n in 10..15 {
        witness.learn(&phone(n)).await;
    }
}

#[tokio::test]
async fn no_code_and_no_number_can_be_read_at_rest_in_answers_or_in_the_log() {
    let witness = Witness::start().await;
    flows(&witness).await;
    errors(&witness).await;
    failures(&witness).await;
    witness.carriers(json!({"mode": "down"})).await;
    for n in 20..25 {
        witness.send(json!({"to": phone(n)})).await;
    }
    let state = witness.service().state().await;
    assert!(
        state["queue"]
            .as_array()
            .is_some_and(|queue| queue.len() >= 5),
        "messages wait: {}",
        state["queue"]
    );
    witness.carriers(json!({"mode": "ok"})).await;
    witness.service().advance(60).await;
    for n in 20..25 {
        assert!(
            !witness.learn(&phone(n)).await.is_empty(),
            "what was held is sent at last"
        );
    }
    let codes = witness.codes.lock().expect("no poison").clone();
    assert!(codes.len() > 25, "{codes:?}");
    let phones = String::from_utf8_lossy(
        &witness
            .service()
            .raw("GET", "/local/messages", &[], "")
            .await
            .raw,
    )
    .into_owned();
    assert!(
        spellings()
            .iter()
            .any(|spelling| contains(phones.as_bytes(), spelling)),
        "the scan finds what is there"
    );
    assert!(
        codes
            .iter()
            .filter(|code| holds_word(&phones, code))
            .count()
            > 15,
        "the scan finds what is there"
    );
    assert_sealed(&state, &codes);
    assert_sealed(&witness.service().state().await, &codes);
    for (asked, answer) in witness.answers.lock().expect("no poison").iter() {
        let body = if answer.status < 300 {
            with(answer.body.clone(), &json!({"to": ""}))
        } else {
            answer.body.clone()
        };
        assert_mute(
            &format!("the body of {asked} -> {}", answer.status),
            &body.to_string(),
            &codes,
        );
        assert_mute(
            &format!("a header of {asked} -> {}", answer.status),
            &format!("{:?}", answer.headers),
            &codes,
        );
    }
    let printed = witness.process.kill().await;
    assert!(printed.contains("refused"), "the log was caught: {printed}");
    assert_mute("the log", &printed, &codes);
    for secret in [
        DEFAULT_KEY,
        SHOP_KEY,
        BAD_KEY,
        IDEMPOTENCY_KEY,
        "canary.person",
        "secret-domain",
        "Bearer",
        "is your",
        "votre code",
    ] {
        assert!(
            !printed.contains(secret),
            "the log holds {secret}: {printed}"
        );
    }
}

#[tokio::test]
async fn a_number_or_a_code_that_stands_where_a_name_should_is_not_repeated() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(1)).await;
    let bearer = format!("Bearer {DEFAULT_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let send = "/v1/verifications".to_owned();
    for (path, body) in [
        (&send, json!({"to": phone(1), phone(1): 1})),
        (&send, json!({"to": phone(1), &code: 1})),
        (
            &format!("{send}/{id}/check"),
            json!({"code": code, phone(1): code}),
        ),
        (
            &format!("{send}/{id}/check"),
            json!({"code": code, &code: phone(1)}),
        ),
    ] {
        let answer = service.raw("POST", path, &headers, body.to_string()).await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
        assert_mute(
            "an error",
            &answer.body.to_string(),
            &BTreeSet::from([code.clone()]),
        );
    }
}

#[tokio::test]
async fn a_verification_id_tells_nothing_about_its_recipient() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let mut seen = BTreeSet::new();
    for n in [1, 1, 1, 2] {
        let id = service.send(&phone(n)).await.id();
        let bytes = BASE64URL_NOPAD
            .decode(id.trim_start_matches("ve_").as_bytes())
            .unwrap_or_else(|_| id.clone().into_bytes());
        assert!(bytes.len() >= 16, "128 bits at least: {id}");
        for window in bytes.windows(4) {
            assert!(
                seen.insert(window.to_vec()),
                "two ids share something: {id}"
            );
        }
    }
    let state = service.state().await;
    let keys: Vec<_> = state["table"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|item| decoded(item["pk"]["B"].as_str().unwrap_or_default()))
        .collect();
    assert!(
        keys.len() >= 2
            && keys
                .iter()
                .all(|key| key.windows(4).all(|window| !seen.contains(window))),
        "an id shows the key of its record"
    );
}

#[tokio::test]
async fn forget_leaves_nothing_sealed_of_the_recipient() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    service
        .send_with_key(
            json!({"to": phone(1), "reference": "reference-canary", "purpose": "purpose-canary"}),
            "k",
        )
        .await;
    service.settle().await;
    let is_record = |item: &&Value| item["app"].is_object();
    let bytes_at_rest = async || {
        service.state().await["table"]
            .as_array()
            .into_iter()
            .flatten()
            .find(is_record)
            .map_or(0, |record| record.to_string().len())
    };
    let before = bytes_at_rest().await;
    service.forget(&phone(1)).await;
    let state = service.state().await;
    let hidden: Vec<Vec<u8>> = strings(&state)
        .iter()
        .flat_map(|text| decoded(text))
        .collect();
    assert!(
        hidden.iter().all(|bytes| !contains(bytes, b"canary")),
        "what the caller said is gone"
    );
    assert!(bytes_at_rest().await < before / 2, "{state}");
}
