//! A call to the table or the queue that a fault proxy has seen. No other file of the tests reads
//! the expressions of the functions' writes.

use data_encoding::BASE64;
use serde_json::Value;

use super::listener::Request;

/// A call that came by.
#[derive(Clone, Debug)]
pub struct ProxiedCall {
    /// Such as `UpdateItem`, `SendMessage` or `Invoke`.
    pub operation: String,
    pub body: Value,
    /// What the engine reports as consumed. `None` if the call never reached it, or if its
    /// condition failed.
    pub units: Option<f64>,
    pub condition_failed: bool,
    /// Of the bodies that the function sent and received.
    pub bytes_out: usize,
    pub bytes_in: usize,
}

impl ProxiedCall {
    /// The call in `request`, before its response.
    pub fn new(request: &Request) -> Self {
        let target = request
            .headers
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok())
            .unwrap_or_default();
        let operation = match request.path.ends_with("/invocations") {
            true => "Invoke".to_owned(),
            false => target.rsplit('.').next().unwrap_or_default().to_owned(),
        };
        Self {
            operation,
            body: serde_json::from_slice(&request.body).unwrap_or_default(),
            units: None,
            condition_failed: false,
            bytes_out: request.body.len(),
            bytes_in: 0,
        }
    }

    /// Whether a process sends it at its start only to open a connection.
    pub fn opens_connection(&self) -> bool {
        self.operation.is_empty() && self.body.is_null()
    }

    /// Whether it reads the configuration, as an instance does at its start and then once a minute.
    pub fn reads_config(&self) -> bool {
        let key = BASE64.encode(b"config");
        let names_it = |keys: &Value| {
            keys.as_array()
                .is_some_and(|keys| keys[0]["pk"]["B"] == key)
        };
        match self.operation.as_str() {
            "GetItem" => self.key() == key,
            "BatchGetItem" => {
                let tables = self.body["RequestItems"].as_object();
                let mut tables = tables.into_iter().flatten();
                tables.any(|(_, table)| names_it(&table["Keys"]))
            }
            _ => false,
        }
    }

    /// Whether it writes an item.
    pub fn is_write(&self) -> bool {
        self.operation == "UpdateItem" || self.operation == "PutItem"
    }

    /// Whether the worker claims a step with it. This and the next ones recognize the functions'
    /// writes; no other file of the tests reads their expressions.
    pub fn claims_step(&self) -> bool {
        self.updates("claimed_until = :until")
    }

    /// Whether the worker gives a claimed step back with it.
    pub fn releases_claim(&self) -> bool {
        self.updates("REMOVE claim_id, claimed_until") && !self.ends_step()
    }

    /// Whether it stores the outcome of a step.
    pub fn ends_step(&self) -> bool {
        self.updates("step = :next")
    }

    /// Whether it writes a recipient as it was before a send that failed.
    pub fn restores_recipient(&self) -> bool {
        let condition = self.body["ConditionExpression"].as_str();
        self.operation == "PutItem" && condition.is_some_and(|text| text.contains(":written"))
    }

    /// Whether it counts a send in a window of a prefix or a client network.
    pub fn reserves_in_window(&self) -> bool {
        let parts = ["slots = list_append", "slots = :needed", "slots[0] = :id"];
        parts.iter().any(|part| self.updates(part))
    }

    /// Whether it does so with the conversion guard of a prefix.
    pub fn reserves_in_guarded_window(&self) -> bool {
        self.reserves_in_window() && self.updates("samples = ")
    }

    /// Whether it counts a message in any limit over many recipients.
    pub fn reserves(&self) -> bool {
        let parts = [
            "recent = list_append",
            "recent = :needed",
            "samples = ",
            "held = ",
            "ADD held :one",
        ];
        self.reserves_in_window() || parts.iter().any(|part| self.updates(part))
    }

    /// Whether it releases a send from such a window.
    pub fn releases_from_window(&self) -> bool {
        self.removes_id_from("slots")
    }

    /// Whether it releases a send from a block of such a window.
    pub fn releases_from_block(&self) -> bool {
        self.removes_id_from("recent") && self.updates("filled = filled - :one")
    }

    /// Whether it gives the money of a send back to a spend cap.
    pub fn releases_money(&self) -> bool {
        self.updates("spent - :price")
    }

    /// Whether it releases a send from any limit.
    pub fn releases_reservation(&self) -> bool {
        let registers = ["slots", "recent"];
        let releases = registers.iter().any(|name| self.removes_id_from(name));
        releases || self.releases_money() || self.updates("REMOVE samples[")
    }

    /// Whether it reads the breakers. All reads of recipients are consistent.
    pub fn reads_breakers(&self) -> bool {
        self.operation == "GetItem" && self.body["ConsistentRead"] != true
    }

    /// Whether it counts a failure in a breaker.
    pub fn updates_breaker(&self) -> bool {
        self.updates("ADD #failures :one")
    }

    /// Whether it adds a delivery to a verification.
    pub fn adds_delivery(&self) -> bool {
        self.updates("deliveries.#tag = :delivery")
    }

    fn removes_id_from(&self, register: &str) -> bool {
        let condition = self.body["ConditionExpression"].as_str();
        condition.is_some_and(|text| text.starts_with(&format!("{register}[")))
    }

    fn updates(&self, part: &str) -> bool {
        let expression = self.body["UpdateExpression"].as_str();
        expression.is_some_and(|expression| expression.contains(part))
    }

    /// The partition key that it names, in base64.
    pub fn key(&self) -> &str {
        self.body["Key"]["pk"]["B"]
            .as_str()
            .or_else(|| self.body["Item"]["pk"]["B"].as_str())
            .unwrap_or_default()
    }
}
