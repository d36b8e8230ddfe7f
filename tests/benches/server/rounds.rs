//! Whole rounds per second: send, arrival of the message, check with the right code. And what
//! limits them: how many table requests a round makes, and how many of them the embedded engine
//! serves without other work on the cores.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use hyper::body::Bytes;
use local::Wires;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::WARM_UP;
use benches::cpu::{self, Cpu};
use benches::listener::{Listener, Request, Response, response};
use benches::local_server::LocalServer;
use benches::table::{millis, number, print};

/// Concurrent clients. Each makes its next send before it polls for the last code, so that the code
/// has often arrived; twice as many rounds are in progress.
const CALLERS: usize = 16;
/// Rounds whose table requests are counted.
const COUNTED: usize = 50;

/// What a period of work took.
struct Period {
    count: u64,
    wall: Duration,
    /// CPU time of the process, and of its first thread: the client.
    cpu: Cpu,
    client_cpu: Cpu,
}

impl Period {
    fn row(&self, name: &str) -> Vec<String> {
        let (count, wall) = (self.count as f64, self.wall.as_secs_f64());
        let each = |cpu: Duration| number(millis(cpu) / count);
        let server = self.cpu.since(self.client_cpu);
        let cores = |cpu: Duration| number(cpu.as_secs_f64() / wall);
        let costs = [self.cpu, server, self.client_cpu].map(|cpu| each(cpu.used));
        [
            vec![
                name.to_owned(),
                number(count / wall),
                cores(self.cpu.used),
                cores(self.cpu.waited),
            ],
            costs.to_vec(),
        ]
        .concat()
    }

    fn cpu_millis_each(&self) -> f64 {
        millis(self.cpu.used) / self.count as f64
    }
}

/// Prints the tables.
pub fn measure(caller: &Runtime, duration: Duration) {
    eprintln!("counting the table requests of a round");
    let calls = table_requests_of_a_round(caller);
    eprintln!("rounds, for {} s", duration.as_secs());
    let server = Arc::new(LocalServer::start(&[]));
    caller.block_on(async {
        for _ in 0..WARM_UP {
            round(&server).await;
        }
    });
    let polls = Arc::new(AtomicU64::new(0));
    let rounds = caller.block_on(period(duration, |until, done| {
        rounds_until(server.clone(), until, done, polls.clone())
    }));
    eprintln!("direct table requests, for {} s", duration.as_secs());
    let updates = caller.block_on(period(duration, |until, done| {
        updates_until(server.clone(), until, done)
    }));
    let header = [
        "",
        "per second",
        "cores busy",
        "cores waited for",
        "CPU ms each",
        "server CPU ms",
        "client CPU ms",
    ];
    let heading = format!(
        "Throughput, {} rounds and {} table requests at a time, for {} s each",
        2 * CALLERS,
        2 * CALLERS,
        duration.as_secs()
    );
    print(
        &heading,
        &header,
        &[
            rounds.row("rounds: send, deliver, check"),
            updates.row("direct `UpdateItem` of a small item"),
        ],
    );

    let polls = polls.load(Ordering::SeqCst) as f64 / rounds.count as f64;
    print_bounds(
        &calls,
        polls,
        rounds.cpu_millis_each(),
        updates.cpu_millis_each(),
    );
}

fn print_bounds(calls: &BTreeMap<String, f64>, polls: f64, round_millis: f64, update_millis: f64) {
    // The simulated phone network reads the table once for each message, on its own connection.
    let sum: f64 = calls.values().sum::<f64>() + 1.0;
    let listed: Vec<String> = calls
        .iter()
        .map(|(name, count)| format!("{} {name}", number(*count)))
        .collect();
    let direct = sum * update_millis;
    println!(
        "\nA round makes {} table requests: the functions {}, and the simulated network one read,",
        number(sum),
        listed.join(", ")
    );
    println!(
        "to find the recipient. The client polls for the message {} times. As many direct requests",
        number(polls)
    );
    println!(
        "take {} ms of CPU, {:.0} % of a round.",
        number(direct),
        100.0 * direct / round_millis
    );
    println!(
        "\nIf the busy cores and those waited for are all cores, CPU limits the rate: {} ms per",
        number(round_millis)
    );
    println!(
        "round are {} rounds per second without other work on the cores.",
        number(cores() * 1000.0 / round_millis)
    );
}

fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1, usize::from) as f64
}

/// How often the functions call each operation in a round for a new recipient.
fn table_requests_of_a_round(caller: &Runtime) -> BTreeMap<String, f64> {
    let (counts, target) = (Counts::default(), Arc::new(OnceLock::new()));
    let listening = caller.block_on(counting(counts.clone(), target.clone()));
    let server = Arc::new(LocalServer::start_with(
        &[],
        Wires {
            dynamodb: Some(listening.url()),
            ..Wires::default()
        },
    ));
    let _ = target.set(Arc::downgrade(&server));
    caller.block_on(async {
        round(&server).await;
        lock(&counts).clear();
        for _ in 0..COUNTED {
            round(&server).await;
        }
    });
    let counts = lock(&counts);
    counts
        .iter()
        .map(|(operation, count)| (operation.clone(), *count as f64 / COUNTED as f64))
        .collect()
}

type Counts = Arc<Mutex<BTreeMap<String, u32>>>;

/// A proxy in front of the table that counts requests.
async fn counting(counts: Counts, to: Arc<OnceLock<Weak<LocalServer>>>) -> Listener {
    Listener::open(0, move |request: Request| {
        let (counts, server) = (counts.clone(), to.get().and_then(Weak::upgrade));
        async move {
            let target = request
                .headers
                .get("x-amz-target")
                .and_then(|target| target.to_str().ok())
                .unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default();
            *lock(&counts).entry(operation.to_owned()).or_default() += 1;
            let response = server?.table(operation, request.body).await;
            passed_on(response.status, response.raw)
        }
    })
    .await
}

fn passed_on(status: u16, body: Bytes) -> Response {
    response(
        status,
        &[("content-type", "application/x-amz-json-1.0")],
        body,
    )
}

fn lock(counts: &Mutex<BTreeMap<String, u32>>) -> MutexGuard<'_, BTreeMap<String, u32>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A whole round.
async fn round(server: &LocalServer) {
    let to = server.phone();
    let (id, _) = server.send(&to).await;
    let code = server.code(&to).await;
    server.approve(&id, &code).await;
}

/// Runs `work` for `duration`.
async fn period<F: Future<Output = ()>>(
    duration: Duration,
    work: impl FnOnce(Instant, Arc<AtomicU64>) -> F,
) -> Period {
    let done = Arc::new(AtomicU64::new(0));
    let (cpu, client_cpu, started) = (
        cpu::of_process("self"),
        cpu::of_first_thread(),
        Instant::now(),
    );
    work(started + duration, done.clone()).await;
    Period {
        count: done.load(Ordering::SeqCst),
        wall: started.elapsed(),
        cpu: cpu::of_process("self").since(cpu),
        client_cpu: cpu::of_first_thread().since(client_cpu),
    }
}

async fn rounds_until(
    server: Arc<LocalServer>,
    until: Instant,
    done: Arc<AtomicU64>,
    polls: Arc<AtomicU64>,
) {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (server, done, polls) = (server.clone(), done.clone(), polls.clone());
        callers.spawn(async move {
            let mut last: Option<(String, String)> = None;
            loop {
                let continues = Instant::now() < until;
                let next = if continues {
                    let to = server.phone();
                    let (id, _) = server.send(&to).await;
                    Some((to, id))
                } else {
                    None
                };
                if let Some((to, id)) = last.take() {
                    let code = loop {
                        polls.fetch_add(1, Ordering::SeqCst);
                        if let Some(code) = server.find_code(&to).await {
                            break code;
                        }
                    };
                    server.approve(&id, &code).await;
                    done.fetch_add(1, Ordering::SeqCst);
                }
                if next.is_none() {
                    return;
                }
                last = next;
            }
        });
    }
    callers.join_all().await;
}

async fn updates_until(server: Arc<LocalServer>, until: Instant, done: Arc<AtomicU64>) {
    let mut callers = JoinSet::new();
    for caller in 0..2 * CALLERS {
        let (server, done) = (server.clone(), done.clone());
        let key = data_encoding::BASE64.encode(format!("bench-{caller:010}").as_bytes());
        let update = json!({
            "TableName": "otp", "Key": {"pk": {"B": key}}, "UpdateExpression": "ADD #n :one",
            "ExpressionAttributeNames": {"#n": "n"},
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        });
        let update = Bytes::from(update.to_string());
        callers.spawn(async move {
            while Instant::now() < until {
                let response = server.table("UpdateItem", update.clone()).await;
                assert_eq!(response.status, 200, "{}", response.body);
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    callers.join_all().await;
}
