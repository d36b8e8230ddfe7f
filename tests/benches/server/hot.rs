//! Concurrent requests: all for one recipient, compared with one recipient for each request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

use benches::local_server::LocalServer;
use benches::table::{latencies, number, print};

/// Concurrent requests.
const CALLERS: usize = 32;
/// Requests in total.
const CALLS: usize = 1_920;
/// Ends the cooldown after a first send.
const COOLDOWN_SECONDS: u32 = 31;

/// The kinds of requests.
#[derive(Clone, Copy)]
enum Call {
    WrongCode,
    Resend,
}

/// Prints the table.
pub fn measure(caller: &Runtime) {
    eprintln!("hot recipients");
    let mut rows = vec![];
    for (name, call, recipients) in [
        (
            "wrong code, one recipient per request",
            Call::WrongCode,
            CALLS,
        ),
        ("wrong code, one recipient", Call::WrongCode, 1),
        ("resend, one recipient per request", Call::Resend, CALLS),
        ("resend, one recipient", Call::Resend, 1),
    ] {
        let server = Arc::new(LocalServer::start(&[]));
        rows.push(caller.block_on(row(name, &server, call, recipients)));
    }
    let header = ["ms", "median", "90 %", "99 %", "per second", "outcomes"];
    print(
        &format!("Hot recipients: {CALLS} requests, {CALLERS} at a time"),
        &header,
        &rows,
    );
}

async fn row(name: &str, server: &Arc<LocalServer>, call: Call, recipients: usize) -> Vec<String> {
    let mut ids = vec![];
    for _ in 0..recipients {
        let to = server.phone();
        let (id, _) = server.send(&to).await;
        server.code(&to).await;
        ids.push(id);
    }
    if matches!(call, Call::Resend) {
        server.advance(COOLDOWN_SECONDS).await;
    }
    let (ids, started) = (Arc::new(ids), Instant::now());
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (server, ids) = (server.clone(), ids.clone());
        callers.spawn(async move {
            let mut results = vec![];
            for n in (caller..CALLS).step_by(CALLERS) {
                results.push(request(&server, call, &ids[n % ids.len()]).await);
            }
            results
        });
    }
    let results = callers.join_all().await.concat();
    let per_second = CALLS as f64 / started.elapsed().as_secs_f64();
    let times: Vec<Duration> = results.iter().map(|(_, took)| *took).collect();
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    results
        .iter()
        .for_each(|(outcome, _)| *outcomes.entry(outcome).or_default() += 1);
    let outcomes: Vec<String> = outcomes
        .iter()
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    [
        vec![name.to_owned()],
        latencies(&times),
        vec![number(per_second), outcomes.join(", ")],
    ]
    .concat()
}

/// The outcome in the words of the API, and the latency.
async fn request(server: &LocalServer, call: Call, id: &str) -> (String, Duration) {
    let response = match call {
        // It is the right code with a chance of one in a million.
        Call::WrongCode => server.check(id, "000000").await,
        Call::Resend => {
            server
                .call("POST", &format!("/v1/verifications/{id}/resend"), None)
                .await
        }
    };
    let outcome = ["reason", "limit", "code"]
        .into_iter()
        .find_map(|name| response.body[name].as_str());
    (outcome.unwrap_or("accepted").to_owned(), response.took)
}
