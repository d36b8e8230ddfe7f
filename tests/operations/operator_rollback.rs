//! A day of an operator in six commands: an app, its key, a carrier in front of the others, a test
//! message, the key revoked, and all of it rolled back.

use std::process::Output;

use otp::crypto::hashes::sha256;
use serde_json::{Value, json};

use crate::support::aws_stand_in::OPERATOR_ARN;
use crate::support::local_process::stderr;
use crate::support::sms_partner::{SMS_PARTNER_ACCEPTED, SMS_PARTNER_KEY, sms_partner};
use crate::support::{AwsStandIn, FaultProxy, INTERNAL_ERROR, Listener, OperatedServer, stdout};

/// Where the commands run.
struct Place<'a> {
    server: &'a OperatedServer,
    /// `None`: on the local server.
    stack: Option<&'a AwsStandIn>,
}

impl Place<'_> {
    async fn run(&self, command: &[&str], input: &str) -> Output {
        match self.stack {
            None => self.server.run_with(command, input, &[]).await,
            Some(aws) => self.server.run_on_stack_with(aws, command, input).await,
        }
    }

    /// Runs a command that succeeds; returns what it printed.
    async fn done(&self, command: &[&str], input: &str) -> String {
        let output = self.run(command, input).await;
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    }

    async fn json(&self, command: &[&str], input: &str) -> Value {
        let printed = self.done(&[command, &["--json"]].concat(), input).await;
        serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}"))
    }

    async fn document(&self) -> Value {
        self.json(&["config", "show"], "").await["document"].clone()
    }

    async fn carriers(&self) -> Vec<Value> {
        let list = self.json(&["carrier", "list"], "").await;
        let carriers = list["carriers"].as_array().cloned().unwrap_or_default();
        carriers
            .iter()
            .map(|carrier| carrier["name"].clone())
            .collect()
    }
}

/// The six commands.
async fn work(place: &Place<'_>, vendor: &Listener) {
    let before = (place.document().await, place.carriers().await);
    let create = ["app", "create", "books", "brand=Books", "code_length=8"];
    place.done(&create, "").await;
    let id = create_key(place).await;
    put_in_front(place, vendor).await;
    let carriers = place.carriers().await;
    assert_eq!(
        (&carriers[0], &carriers[1..]),
        (&json!("second"), &*before.1)
    );
    send_test(place).await;
    place.done(&["key", "revoke", &id, "--yes"], "").await;
    assert_eq!(place.document().await["api_keys"], json!([]));
    place.done(&["config", "rollback", "0", "--yes"], "").await;
    assert_eq!((place.document().await, place.carriers().await), before);
}

/// The id of the key.
async fn create_key(place: &Place<'_>) -> String {
    let create = ["key", "create", "--app", "books", "--name", "web"];
    let created = place
        .json(&[&create[..], &["--expires", "90d"]].concat(), "")
        .await;
    let key = created["key"].as_str().expect("a key");
    let hash = data_encoding::BASE64.encode(&sha256(key.as_bytes()));
    let stored = place.document().await;
    let app = json!({"brand": "Books", "code_length": 8});
    assert_eq!(stored["apps"]["books"], app);
    let entry = &stored["api_keys"][0];
    assert_eq!(
        (&entry["sha256"], &entry["id"]),
        (&json!(hash), &created["id"])
    );
    created["id"].as_str().expect("an id").to_owned()
}

async fn put_in_front(place: &Place<'_>, vendor: &Listener) {
    let url = format!("base_url={}", vendor.url());
    let add = ["carrier", "add", "second", "--kind", "smspartner", &url];
    let add = [&add[..], &["--first", "--credentials"]].concat();
    let credentials = json!({"api_key": SMS_PARTNER_KEY}).to_string();
    let printed = place.done(&add, &credentials).await;
    assert!(!printed.contains(SMS_PARTNER_KEY), "{printed}");
}

async fn send_test(place: &Place<'_>) {
    let test = [
        "carrier",
        "test",
        "second",
        "--to",
        "+33612345678",
        "--app",
        "books",
    ];
    // A carrier cannot reach this process by the public URL of a stack.
    let (wait, report) = match place.stack {
        None => ("20", "report    delivered"),
        Some(_) => ("0", "report    goes to the deployment"),
    };
    let test = [&test[..], &["--wait", wait]].concat();
    let printed = place.done(&test, "").await;
    let sent = "\"phoneNumbers\":\"+33612345678\"";
    for expected in [sent, "Books", "class     accepted", report] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
    assert!(!printed.contains(SMS_PARTNER_KEY), "{printed}");
}

#[tokio::test]
async fn six_commands_are_rolled_back_locally() {
    let server = OperatedServer::start(&["k1"]).await;
    let vendor = sms_partner((200, SMS_PARTNER_ACCEPTED), Some("delivered")).await;
    let place = Place {
        server: &server,
        stack: None,
    };
    work(&place, &vendor).await;
    let history = place.json(&["config", "history"], "").await;
    let versions = history["versions"].as_array().cloned().unwrap_or_default();
    assert_eq!(versions.len(), 5);
    assert!(versions.iter().all(|version| version["author"] == "ada"));
}

#[tokio::test]
async fn six_commands_are_rolled_back_on_a_stack() {
    let server = OperatedServer::start(&["k1"]).await;
    let aws = AwsStandIn::open(server.secrets.clone(), &[]).await;
    let vendor = sms_partner((200, SMS_PARTNER_ACCEPTED), None).await;
    let place = Place {
        server: &server,
        stack: Some(&aws),
    };
    work(&place, &vendor).await;
    let history = place.json(&["config", "history"], "").await;
    let versions = history["versions"].as_array().cloned().unwrap_or_default();
    assert_eq!(versions.len(), 5);
    assert!(
        versions
            .iter()
            .all(|version| version["author"] == OPERATOR_ARN)
    );
}

#[tokio::test]
async fn carrier_half_written_is_added_by_repetition() {
    let mut server = OperatedServer::start(&["k1"]).await;
    let aws = AwsStandIn::open(server.secrets.clone(), &[]).await;
    let proxy = FaultProxy::open().await;
    proxy.set_target(&server.process.service.dynamodb_url);
    server.process.service.dynamodb_url = proxy.url().expect("a URL");
    // The credentials are one item; the document is written with its version in the history.
    proxy.break_by(|call| {
        let items = call.body["TransactItems"].as_array().map_or(0, Vec::len);
        (items == 2).then_some(INTERNAL_ERROR)
    });
    let place = Place {
        server: &server,
        stack: Some(&aws),
    };
    let add = ["carrier", "add", "second", "--kind", "smspartner"];
    let add = [&add[..], &["--first", "--credentials"]].concat();
    let credentials = json!({"api_key": SMS_PARTNER_KEY}).to_string();
    let failed = place.run(&add, &credentials).await;
    assert_eq!(failed.status.code(), Some(1), "{}", stdout(&failed));
    proxy.clear_faults();
    assert_eq!(place.document().await["carriers"], Value::Null);
    let shown = place.json(&["config", "check"], "").await;
    assert_eq!(shown["problems"], json!([]));
    place.done(&add, &credentials).await;
    assert_eq!(place.carriers().await, ["second", "sns"]);
}
