//! Many calls at once: all of them for one recipient, beside as many for a recipient each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

use benches::home::Home;
use benches::table::{figure, latencies, print};

/// Calls under way at a time.
const CALLERS: usize = 32;
/// Calls in all.
const CALLS: usize = 1_920;
/// Moves the clock past the cooldown after a first send.
const COOLDOWN_SECONDS: u32 = 31;

/// What is called.
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
        ("wrong code, a recipient each", Call::WrongCode, CALLS),
        ("wrong code, one recipient", Call::WrongCode, 1),
        ("resend, a recipient each", Call::Resend, CALLS),
        ("resend, one recipient", Call::Resend, 1),
    ] {
        let home = Arc::new(Home::start(&[]));
        rows.push(caller.block_on(row(name, &home, call, recipients)));
    }
    let header = ["ms", "median", "90 %", "99 %", "a second", "outcomes"];
    print(
        &format!("Hot recipients: {CALLS} calls, {CALLERS} at a time"),
        &header,
        &rows,
    );
}

async fn row(name: &str, home: &Arc<Home>, call: Call, recipients: usize) -> Vec<String> {
    let mut ids = vec![];
    for _ in 0..recipients {
        let to = home.phone();
        let (id, _) = home.send(&to).await;
        home.code(&to).await;
        ids.push(id);
    }
    if matches!(call, Call::Resend) {
        home.advance(COOLDOWN_SECONDS).await;
    }
    let (ids, begun) = (Arc::new(ids), Instant::now());
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (home, ids) = (home.clone(), ids.clone());
        callers.spawn(async move {
            let mut answers = vec![];
            for n in (caller..CALLS).step_by(CALLERS) {
                answers.push(called(&home, call, &ids[n % ids.len()]).await);
            }
            answers
        });
    }
    let answers = callers.join_all().await.concat();
    let a_second = CALLS as f64 / begun.elapsed().as_secs_f64();
    let times: Vec<Duration> = answers.iter().map(|(_, took)| *took).collect();
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    answers
        .iter()
        .for_each(|(outcome, _)| *outcomes.entry(outcome).or_default() += 1);
    let outcomes: Vec<String> = outcomes
        .iter()
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    [
        vec![name.to_owned()],
        latencies(&times),
        vec![figure(a_second), outcomes.join(", ")],
    ]
    .concat()
}

/// The outcome in the API's own word.
async fn called(home: &Home, call: Call, id: &str) -> (String, Duration) {
    let answer = match call {
        // One chance in a million to be wrong about it.
        Call::WrongCode => home.check(id, "000000").await,
        Call::Resend => {
            home.call("POST", &format!("/v1/verifications/{id}/resend"), None)
                .await
        }
    };
    let word = ["reason", "limit", "code"]
        .into_iter()
        .find_map(|name| answer.body[name].as_str());
    (word.unwrap_or("accepted").to_owned(), answer.took)
}
