//! The local server, in memory, in this process: how fast sends and checks are, how many whole rounds it serves a second
//! and what bounds them, how both grow with the recipients in its table, and what a recipient that everybody calls costs.
//!
//! ```sh
//! cargo bench -p benches --bench server                           # everything, some minutes, 4 GB of memory
//! cargo bench -p benches --bench server -- --recipients 10000     # with a smaller table
//! ```
//!
//! It prints Markdown tables, and what it does on standard error. Caller and server share the machine and this process; the
//! caller is its first thread, so its part is known. All limits are the defaults. The caller never sleeps: what it
//! waits for it asks for again.
//! Not measured: AWS, its latency, TLS, a server with `--data`. Nothing here is a test: no figure makes it fail.
#![allow(clippy::expect_used, reason = "a bench ends where it is surprised")]

mod growth;
mod hot;
mod rounds;

use std::time::Duration;

use benches::home::Home;
use benches::table;
use clap::Parser;

/// Rounds whose calls are timed one at a time.
const SAMPLES: usize = 500;
/// Rounds before the first that counts.
const WARM_UP: usize = 100;

/// Measures the local server.
#[derive(Parser)]
struct Arguments {
    /// Seconds of rounds, and of bare table calls
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Most recipients in the table
    #[arg(long, default_value_t = 1_000_000)]
    recipients: usize,
    /// Only the rounds
    #[arg(long)]
    rounds: bool,
    /// What cargo says to every bench
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

/// The latency of sends and checks of strangers.
fn one_at_a_time(caller: &tokio::runtime::Runtime) {
    eprintln!("one at a time");
    let home = Home::start(&[]);
    let (mut sends, mut arrivals, mut checks) = (vec![], vec![], vec![]);
    caller.block_on(async {
        for n in 0..WARM_UP + SAMPLES {
            let to = home.phone();
            let begun = tokio::time::Instant::now();
            let (id, sent) = home.send(&to).await;
            let code = home.code(&to).await;
            let arrived = begun.elapsed();
            let checked = home.approve(&id, &code).await;
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
        row("send, until the message is on the phone", &arrivals),
        row("check, right", &checks),
    ];
    table::print(
        &format!("One call at a time ({SAMPLES} rounds)"),
        &["ms", "median", "90 %", "99 %"],
        &rows,
    );
}
