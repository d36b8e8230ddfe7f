//! The endpoints of the local server that exist beside the API: clock, phones, simulated carriers,
//! stored state; processes of functions.

use serde_json::{Value, json};

use super::response::{TestResponse, assert_status};
use super::service::Service;
use super::values::{another_code, unix_seconds};

impl Service {
    async fn get_local(&self, path: &str) -> TestResponse {
        self.raw("GET", path, &[], "").await
    }

    async fn post_local(&self, path: &str, body: Value) -> TestResponse {
        self.raw("POST", path, &[], body.to_string()).await
    }

    /// The messages on a phone once all due work is done.
    pub async fn messages(&self, to: &str) -> Vec<Value> {
        self.settle().await;
        self.messages_now(to).await
    }

    /// The messages on a phone at this moment.
    pub async fn messages_now(&self, to: &str) -> Vec<Value> {
        let to = to.replace('+', "%2B").replace('@', "%40");
        let response = self.get_local(&format!("/local/messages?to={to}")).await;
        response.body["messages"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// The code of the latest message to `to`.
    pub async fn code(&self, to: &str) -> String {
        let messages = self.messages(to).await;
        messages
            .last()
            .and_then(|message| message["code"].as_str())
            .unwrap_or_else(|| panic!("no code for {to} in {messages:?}"))
            .to_owned()
    }

    /// The current code of the verification `id`, from its latest message to `to`, whatever other
    /// messages came since.
    pub async fn code_of(&self, to: &str, id: &str) -> String {
        let messages = self.messages(to).await;
        let mut latest_first = messages
            .iter()
            .rev()
            .filter(|message| message["verification_id"] == id);
        let code = latest_first.find_map(|message| message["code"].as_str());
        code.unwrap_or_else(|| panic!("no code of {id} for {to} in {messages:?}"))
            .to_owned()
    }

    /// A well-formed code that is not the latest one sent to `to`.
    pub async fn wrong_code(&self, to: &str) -> String {
        another_code(&self.code(to).await)
    }

    /// Returns once all due work is done.
    pub async fn settle(&self) {
        self.advance(0).await;
    }

    /// Moves the clock forward; returns once all due work is done.
    pub async fn advance(&self, seconds: i64) {
        let body = json!({"advance_seconds": seconds});
        assert_status(&self.post_local("/local/clock", body).await, 200);
    }

    /// The service's time in seconds since 1970.
    pub async fn now(&self) -> i64 {
        unix_seconds(&self.get_local("/local/clock").await.body["now"])
    }

    /// Moves the clock to a time, unless it is past it.
    pub async fn advance_to(&self, at: i64) {
        self.advance((at - self.now().await).max(0)).await;
    }

    /// Moves the clock to the next multiple of `period` seconds, such as the start of a step of an
    /// authenticator app or of a day: no other one begins while a test runs. Returns that time.
    pub async fn advance_to_next(&self, period: i64) -> i64 {
        let start = (self.now().await / period + 1) * period;
        self.advance_to(start).await;
        start
    }

    /// Changes how a simulated carrier behaves, such as `{"mode": "down"}`.
    pub async fn set_carrier(&self, name: &str, behaviour: Value) {
        let path = format!("/local/carriers/{name}");
        assert_status(&self.post_local(&path, behaviour).await, 200);
    }

    /// The carrier of a message reports `status`; returns the status code of the callback.
    pub async fn report(&self, message: &Value, status: &str) -> u64 {
        let id = message["id"].as_str().expect("a message has an id");
        let path = format!("/local/messages/{id}/report");
        let response = self.post_local(&path, json!({"status": status})).await;
        response.body["callback_status"]
            .as_u64()
            .unwrap_or_else(|| panic!("{response:?}"))
    }

    /// Invokes the process of a function with an event.
    pub async fn invoke(&self, function: &str, event: &str) -> TestResponse {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        self.raw("POST", &path, &[], event.to_owned()).await
    }

    /// The stored items, the queue and the dead letters.
    pub async fn state(&self) -> Value {
        self.get_local("/local/state").await.body
    }
}
