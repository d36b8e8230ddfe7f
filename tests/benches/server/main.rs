//! Measures the local server, in memory, in this process: the latency of sends and checks, how many
//! whole rounds it serves per second and what limits them, how both change with the number of
//! recipients in its table, and what concurrent requests for one recipient cost.
//!
//! ```sh
//! cargo bench -p benches --bench server                          # some minutes, 4 GB of memory
//! cargo bench -p benches --bench server -- --recipients 10000    # with a smaller table
//! ```
//!
//! It prints Markdown tables, and its progress to standard error. Client and server share the
//! machine and this process; the client is its first thread, so its share is known. All limits have
//! their defaults. The client never sleeps: it polls.
//!
//! Not measured: AWS and its latency, TLS, a server with `--data`. This is no test: no number makes
//! it fail.
#![allow(
    clippy::expect_used,
    reason = "a benchmark stops at any unexpected result"
)]

mod growth;
mod hot;
mod rounds;

use std::time::Duration;

use benches::local_server::LocalServer;
use benches::table;
use clap::Parser;

/// Rounds that are measured, one request at a time.
const SAMPLES: usize = 500;
/// Rounds before them that are not measured.
const WARM_UP: usize = 100;

/// Measures the local server.
#[derive(Parser)]
struct Arguments {
    /// Seconds of rounds, and of direct table requests
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Most recipients in the table
    #[arg(long, default_value_t = 1_000_000)]
    recipients: usize,
    /// Measure only the rounds
    #[arg(long)]
    rounds: bool,
    /// Set by cargo for every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let caller = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a thread");
    println!(
        "## The local server in memory, on {} cores",
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    rounds::measure(&caller, Duration::from_secs(arguments.seconds));
    if arguments.rounds {
        return;
    }
    one_at_a_time(&caller);
    hot::measure(&caller);
    growth::measure(&caller, arguments.recipients);
}

/// The latency of sends and checks of new recipients.
fn one_at_a_time(caller: &tokio::runtime::Runtime) {
    eprintln!("one at a time");
    let server = LocalServer::start(&[]);
    let (mut sends, mut arrivals, mut checks) = (vec![], vec![], vec![]);
    caller.block_on(async {
        for n in 0..WARM_UP + SAMPLES {
            let to = server.phone();
            let started = tokio::time::Instant::now();
            let (id, sent) = server.send(&to).await;
            let code = server.code(&to).await;
            let arrived = started.elapsed();
            let checked = server.approve(&id, &code).await;
            if n >= WARM_UP {
                sends.push(sent);
                arrivals.push(arrived);
                checks.push(checked);
            }
        }
    });
    let row =
        |name: &str, times: &[Duration]| [vec![name.to_owned()], table::latencies(times)].concat();
    let rows = [
        row("send", &sends),
        row("send, until the message arrives", &arrivals),
        row("check, right", &checks),
    ];
    table::print(
        &format!("One request at a time ({SAMPLES} rounds)"),
        &["ms", "median", "90 %", "99 %"],
        &rows,
    );
}
