//! Requests to the table are part of the trace of their invocation. Lambda's runtime sets the id as
//! a variable of the process.

use std::process::Stdio;

use crate::support::Listener;
use crate::support::delay::in_time;
use crate::support::listener::response;
use crate::support::local_process::local_command;

const TRACE_ID: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

#[tokio::test]
async fn requests_carry_the_trace_id() {
    let (called, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let table = Listener::open(0, move |request| {
        let header = |name: &str| Some(request.headers.get(name)?.to_str().ok()?.to_owned());
        let _ = called.send((header("x-amz-target"), header("x-amzn-trace-id")));
        let headers = [("content-type", "application/x-amz-json-1.0")];
        let empty = response(200, &headers, "{}");
        async move { empty }
    });
    let table = table.await;
    let variables = [("_X_AMZN_TRACE_ID", TRACE_ID)];
    let _local = local_command(&["--port", "0", "--dynamodb", &table.url()], &variables)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    loop {
        let call = in_time(calls.recv()).await.expect("a call in time");
        let (target, trace_id) = call.expect("a table");
        // The local server itself creates the table. The functions read their configuration.
        if target.as_deref() == Some("DynamoDB_20120810.BatchGetItem") {
            assert_eq!(trace_id.as_deref(), Some(TRACE_ID));
            return;
        }
    }
}
