//! Whole rounds a second: send, the message on the phone, check with the right code. And what
//! bounds them: how often a round calls the table, and what the embedded engine does when nobody
//! else asks for the cores.

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
use benches::home::Home;
use benches::listener::{Listener, Request, Response, response};
use benches::table::{figure, millis, print};

/// Callers at a time. A caller sends for one phone before it looks at the one before: nobody stares
/// at an empty phone, and twice as many rounds are under way.
const CALLERS: usize = 16;
/// Rounds whose calls are counted.
const COUNTED: usize = 50;

/// What a stretch of work took.
struct Stretch {
    count: u64,
    wall: Duration,
    /// Of the process, and of its first thread: the caller.
    cpu: Cpu,
    caller_cpu: Cpu,
}

impl Stretch {
    fn row(&self, name: &str) -> Vec<String> {
        let (count, wall) = (self.count as f64, self.wall.as_secs_f64());
        let each = |cpu: Duration| figure(millis(cpu) / count);
        let server = self.cpu.since(self.caller_cpu);
        let cores = |cpu: Duration| figure(cpu.as_secs_f64() / wall);
        let costs = [self.cpu, server, self.caller_cpu].map(|cpu| each(cpu.used));
        [
            vec![
                name.to_owned(),
                figure(count / wall),
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

/// Prints all of it.
pub fn measure(caller: &Runtime, enough: Duration) {
    eprintln!("counting the calls of a round");
    let calls = calls_of_a_round(caller);
    eprintln!("rounds, for {} s", enough.as_secs());
    let home = Arc::new(Home::start(&[]));
    caller.block_on(async {
        for _ in 0..WARM_UP {
            round(&home).await;
        }
    });
    let looks = Arc::new(AtomicU64::new(0));
    let rounds = caller.block_on(stretch(enough, |until, done| {
        rounds_until(home.clone(), until, done, looks.clone())
    }));
    eprintln!("bare table calls, for {} s", enough.as_secs());
    let updates = caller.block_on(stretch(enough, |until, done| {
        updates_until(home.clone(), until, done)
    }));
    let header = [
        "",
        "a second",
        "cores busy",
        "waited for",
        "CPU ms each",
        "of it the server",
        "the caller",
    ];
    let heading = format!(
        "Throughput, {} rounds and {} table calls at a time, for {} s each",
        2 * CALLERS,
        2 * CALLERS,
        enough.as_secs()
    );
    print(
        &heading,
        &header,
        &[
            rounds.row("rounds: send, deliver, check"),
            updates.row("bare `UpdateItem` of one small item"),
        ],
    );

    let looks = looks.load(Ordering::SeqCst) as f64 / rounds.count as f64;
    print_bounds(
        &calls,
        looks,
        rounds.cpu_millis_each(),
        updates.cpu_millis_each(),
    );
}

fn print_bounds(calls: &BTreeMap<String, f64>, looks: f64, round_millis: f64, update_millis: f64) {
    // The simulated network reads the table once a message, on a wire of its own.
    let sum: f64 = calls.values().sum::<f64>() + 1.0;
    let listed: Vec<String> = calls
        .iter()
        .map(|(name, count)| format!("{} {name}", figure(*count)))
        .collect();
    let bare = sum * update_millis;
    println!(
        "\nA round calls the table {} times: the functions {}, and the simulated network one read, to",
        figure(sum),
        listed.join(", ")
    );
    println!(
        "know whose message it is. The caller looks at the phone {} times. So many bare calls would take",
        figure(looks)
    );
    println!(
        "{} ms of CPU, {:.0} % of a round.",
        figure(bare),
        100.0 * bare / round_millis
    );
    println!(
        "\nWhere the cores busy and those waited for are together as many as there are, CPU bounds the rate: {} ms",
        figure(round_millis)
    );
    println!(
        "a round are {} rounds a second where nobody else needs the cores.",
        figure(cores() * 1000.0 / round_millis)
    );
}

fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1, usize::from) as f64
}

/// Operations by name, each with how often the functions call it in a round of a stranger.
fn calls_of_a_round(caller: &Runtime) -> BTreeMap<String, f64> {
    let (counts, wire) = (Counts::default(), Arc::new(OnceLock::new()));
    let listening = caller.block_on(counting(counts.clone(), wire.clone()));
    let home = Arc::new(Home::start_behind(
        &[],
        Wires {
            dynamodb: Some(listening.url()),
            ..Wires::default()
        },
    ));
    let _ = wire.set(Arc::downgrade(&home));
    caller.block_on(async {
        round(&home).await;
        lock(&counts).clear();
        for _ in 0..COUNTED {
            round(&home).await;
        }
    });
    let counts = lock(&counts);
    counts
        .iter()
        .map(|(operation, count)| (operation.clone(), *count as f64 / COUNTED as f64))
        .collect()
}

type Counts = Arc<Mutex<BTreeMap<String, u32>>>;

/// A wire in front of the table that counts.
async fn counting(counts: Counts, to: Arc<OnceLock<Weak<Home>>>) -> Listener {
    Listener::open(0, move |request: Request| {
        let (counts, home) = (counts.clone(), to.get().and_then(Weak::upgrade));
        async move {
            let target = request
                .headers
                .get("x-amz-target")
                .and_then(|target| target.to_str().ok())
                .unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default();
            *lock(&counts).entry(operation.to_owned()).or_default() += 1;
            let answer = home?.table(operation, request.body).await;
            passed_on(answer.status, answer.raw)
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

/// One round from begin to end.
async fn round(home: &Home) {
    let to = home.phone();
    let (id, _) = home.send(&to).await;
    let code = home.code(&to).await;
    home.approve(&id, &code).await;
}

/// Lets `work` go on until `enough` time has passed.
async fn stretch<F: Future<Output = ()>>(
    enough: Duration,
    work: impl FnOnce(Instant, Arc<AtomicU64>) -> F,
) -> Stretch {
    let done = Arc::new(AtomicU64::new(0));
    let (cpu, caller_cpu, begun) = (
        cpu::of_process("self"),
        cpu::of_first_thread(),
        Instant::now(),
    );
    work(begun + enough, done.clone()).await;
    Stretch {
        count: done.load(Ordering::SeqCst),
        wall: begun.elapsed(),
        cpu: cpu::of_process("self").since(cpu),
        caller_cpu: cpu::of_first_thread().since(caller_cpu),
    }
}

async fn rounds_until(
    home: Arc<Home>,
    until: Instant,
    done: Arc<AtomicU64>,
    looks: Arc<AtomicU64>,
) {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (home, done, looks) = (home.clone(), done.clone(), looks.clone());
        callers.spawn(async move {
            let mut before: Option<(String, String)> = None;
            loop {
                let goes_on = Instant::now() < until;
                let next = if goes_on {
                    let to = home.phone();
                    let (id, _) = home.send(&to).await;
                    Some((to, id))
                } else {
                    None
                };
                if let Some((to, id)) = before.take() {
                    let code = loop {
                        looks.fetch_add(1, Ordering::SeqCst);
                        if let Some(code) = home.look(&to).await {
                            break code;
                        }
                    };
                    home.approve(&id, &code).await;
                    done.fetch_add(1, Ordering::SeqCst);
                }
                if next.is_none() {
                    return;
                }
                before = next;
            }
        });
    }
    callers.join_all().await;
}

async fn updates_until(home: Arc<Home>, until: Instant, done: Arc<AtomicU64>) {
    let mut callers = JoinSet::new();
    for caller in 0..2 * CALLERS {
        let (home, done) = (home.clone(), done.clone());
        let key = data_encoding::BASE64.encode(format!("bench-{caller:010}").as_bytes());
        let update = json!({
            "TableName": "otp", "Key": {"pk": {"B": key}}, "UpdateExpression": "ADD #n :one",
            "ExpressionAttributeNames": {"#n": "n"}, "ExpressionAttributeValues": {":one": {"N": "1"}},
        });
        let update = Bytes::from(update.to_string());
        callers.spawn(async move {
            while Instant::now() < until {
                let answer = home.table("UpdateItem", update.clone()).await;
                assert_eq!(answer.status, 200, "{}", answer.body);
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    callers.join_all().await;
}
