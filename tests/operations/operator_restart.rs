//! A restart of the local server in the same directory, after an operator has stored its carriers
//! in the configuration document.

use std::net::{Ipv4Addr, TcpListener};

use serde_json::{Value, json};

use crate::support::local_process::stderr;
use crate::support::{Behaviour, HttpCarrier, OperatedServer, phone};

/// Seconds after which all functions use a change.
const MAX_AGE: i64 = 60;

async fn restart(server: OperatedServer) -> OperatedServer {
    assert_eq!(server.process.end("TERM").await, Some(0));
    OperatedServer::start_in(server.data, &["k1"]).await
}

/// Sends; asserts that `sim-a` delivers the message, and that its report is valid.
async fn assert_delivered_by_sim_a(server: &OperatedServer, to: &str) {
    let service = &server.process.service;
    service.open(to).await;
    let messages = service.messages(to).await;
    let carriers: Vec<&Value> = messages.iter().map(|message| &message["carrier"]).collect();
    assert_eq!(carriers, ["sim-a"]);
    assert_eq!(service.report(&messages[0], "delivered").await, 200);
}

/// Adds the carrier to those that are simulated, which stores all of them.
async fn add(server: &OperatedServer, carrier: &HttpCarrier, options: &[&str]) {
    let entry = carrier.entry();
    let url = format!("base_url={}", entry["base_url"].as_str().expect("a URL"));
    let command = ["carrier", "add", "second", "--kind", "http", &url];
    let command = [&command[..], options, &["--credentials"]].concat();
    let credentials = json!({"token": entry["token"], "secret": entry["secret"]}).to_string();
    let added = server.run_with(&command, &credentials, &[]).await;
    assert_eq!(added.status.code(), Some(0), "{}", stderr(&added));
}

/// Ports of the simulated carriers.
async fn ports(server: &OperatedServer) -> Vec<u16> {
    let endpoints = server.process.call("GET", "/local/endpoints", None).await;
    let carriers = endpoints.body["simulated_carriers"].as_str();
    let carriers: Vec<Value> = serde_json::from_str(carriers.expect("a text")).expect("a list");
    let port = |carrier: &Value| {
        let url = carrier["base_url"].as_str()?;
        url.rsplit_once(':')?.1.parse().ok()
    };
    let ports = carriers
        .iter()
        .map(|carrier| port(carrier).expect("a port"));
    ports.collect()
}

#[tokio::test]
async fn stored_simulated_carriers_deliver_after_a_restart() {
    for (options, received) in [(&["--first"][..], 1), (&[], 0)] {
        let server = OperatedServer::start(&["k1"]).await;
        let second = HttpCarrier::start("second").await;
        second.behave(Behaviour::Respond(500, ""));
        add(&server, &second, options).await;

        let server = restart(server).await;
        assert_delivered_by_sim_a(&server, &phone(1)).await;
        assert_eq!(second.received().len(), received);

        server.done(&["config", "rollback", "0", "--yes"]).await;
        server.process.service.advance(MAX_AGE).await;
        assert_delivered_by_sim_a(&server, &phone(2)).await;
        let server = restart(server).await;
        assert_delivered_by_sim_a(&server, &phone(3)).await;
    }
}

#[tokio::test]
async fn server_starts_while_a_stored_port_is_taken() {
    let server = OperatedServer::start(&["k1"]).await;
    let before = ports(&server).await;
    assert_eq!(server.process.end("TERM").await, Some(0));
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, before[0])).expect("a free port");

    let server = OperatedServer::start_in(server.data, &["k1"]).await;
    let during = ports(&server).await;
    assert_ne!(during[0], before[0]);
    assert_eq!(during[1], before[1]);
    assert_delivered_by_sim_a(&server, &phone(1)).await;
    let printed = server.process.kill().await;
    let warning = format!("stored_port={}", before[0]);
    assert!(printed.contains(&warning), "{printed}");

    drop(taken);
    let server = OperatedServer::start_in(server.data, &["k1"]).await;
    assert_eq!(ports(&server).await, before);
}
