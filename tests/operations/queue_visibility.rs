//! How long the queue in template.yaml hides a message that the worker has received.

use serde_norway::Value;

/// As AWS recommends: the trigger repeats throttled batches while their messages stay hidden.
const WORKER_TIMEOUTS: u64 = 6;

/// A shorter time would give one message to two workers.
#[test]
fn queue_hides_messages_for_six_worker_timeouts() {
    let template: Value =
        serde_norway::from_str(include_str!("../../template.yaml")).expect("YAML");
    let resources = &template["Resources"];
    let worker = &resources["CarrierWorkerFunction"]["Properties"];
    let own_timeout = worker["Timeout"].as_u64();
    let timeout = own_timeout.or_else(|| template["Globals"]["Function"]["Timeout"].as_u64());
    let events = worker["Events"].as_mapping().expect("events");
    let trigger = events.values().find(|event| event["Type"] == "SQS");
    let trigger = &trigger.expect("the trigger of the queue")["Properties"];
    let waited = trigger["MaximumBatchingWindowInSeconds"].as_u64();
    let hidden = resources["DispatchQueue"]["Properties"]["VisibilityTimeout"].as_u64();
    let least = WORKER_TIMEOUTS * timeout.expect("a time-out") + waited.unwrap_or(0);
    assert!(hidden >= Some(least), "{hidden:?} s of at least {least} s");
}
