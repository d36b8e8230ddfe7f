//! Measures the functions' release binaries, each as a process under a stub of the Lambda Runtime
//! API in this program: size, start, first and warm invocation, memory, system calls, instructions;
//! and for comparison an empty function and one with a single `UpdateItem`.
//!
//! ```sh
//! cargo build --release -p send -p verify -p delivery-callback -p carrier-worker -p minimal
//! cargo bench -p benches --bench functions
//! ```
//!
//! It prints Markdown tables, and its progress to standard error. The table is the local server's,
//! in this process; queue and carrier are stub servers that respond at once. The processes get only
//! the environment variables that Lambda and the template set. System calls need `strace`,
//! instructions `valgrind`, compressed sizes `gzip`: without it, the table has no such number.
//! `verify` and `send` are measured a second time, with TLS in front of the table and the queue.
//!
//! Not measured: the network, Lambda's own part of a cold start, its smaller share of a CPU, arm64.
//! This is no test: no number makes it fail.
#![allow(
    clippy::expect_used,
    reason = "a benchmark stops at any unexpected result"
)]

mod process;
mod runtime_api;
mod tls;
mod tools;
mod environment;

use std::path::{Path, PathBuf};
use std::time::Duration;

use benches::table::{millis, number, number_or_dash, print, quantile, ratio};
use clap::Parser;
use environment::{Environment, Event};
use process::{Cost, Function, Process};
use tls::Tls;
use tokio::runtime::Runtime;
use tools::Counts;

/// The binaries, their events, and a part of the right response. The others are compared with the
/// second one.
const FUNCTIONS: [(&str, &str, Event, &str); 6] = [
    (
        "bench-hello",
        "an empty function",
        Event::Any,
        r#""statusCode":200"#,
    ),
    (
        "bench-floor",
        "one `UpdateItem`",
        Event::Any,
        r#""statusCode":200"#,
    ),
    (
        "verify",
        "`verify`: a wrong code",
        Event::Check,
        "wrong_code",
    ),
    (
        "send",
        "`send`: first to a recipient",
        Event::Send,
        r#""statusCode":201"#,
    ),
    (
        "carrier-worker",
        "`carrier-worker`: one dispatch",
        Event::Dispatch,
        r#""batchItemFailures":[]"#,
    ),
    (
        "delivery-callback",
        "`delivery-callback`: one report",
        Event::Report,
        r#""statusCode":200"#,
    ),
];
const FLOOR: usize = 1;
/// Those that are measured with TLS too.
const WITH_TLS: [&str; 2] = ["verify", "send"];
/// The invocations of a round.
const ROUND: [&str; 3] = ["send", "carrier-worker", "verify"];
/// Processes that are started for a single invocation.
const COLD: usize = 15;
/// Invocations of one process that are not measured, and those after them that are.
const WARM_UP: usize = 20;
const WARM: usize = 200;

/// Measures the functions.
#[derive(Parser)]
struct Arguments {
    /// Directory of the release binaries; by default that of this program
    #[arg(long)]
    binaries: Option<PathBuf>,
    /// Set by cargo for every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// The measurements of a function. Times are medians.
struct Measurement {
    binary: &'static str,
    name: &'static str,
    bytes: f64,
    gzip_bytes: Option<f64>,
    init: Cost,
    first: Cost,
    warm: Cost,
    peak_bytes: f64,
    calls: Option<Counts>,
    instructions: Option<Counts>,
}

fn main() {
    let caller = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a thread");
    let arguments = Arguments::parse();
    let own = std::env::current_exe().expect("this program");
    let default_directory = own
        .parent()
        .and_then(|deps| deps.parent())
        .expect("the target's directory");
    let directory = arguments
        .binaries
        .unwrap_or_else(|| default_directory.to_owned());
    let tls = Tls::new();
    let (mut all, mut over_tls) = (vec![], vec![]);
    for measured in FUNCTIONS {
        all.push(measure_binary(&caller, &directory, measured, None));
        if WITH_TLS.contains(&measured.0) {
            over_tls.push(measure_binary(&caller, &directory, measured, Some(&tls)));
        }
    }
    println!("## The functions, on {}", std::env::consts::ARCH);
    print_costs(&all, "over HTTP");
    let round = all.iter().filter(|of| ROUND.contains(&of.binary));
    let cpu: f64 = round.map(|of| millis(of.warm.cpu)).sum();
    println!(
        "\nSend, dispatch and check together: {} ms of CPU.",
        number(cpu)
    );
    print_counts(&all, "over HTTP");
    print_ratios(&all);
    print_costs(&over_tls, "over TLS");
    print_counts(&over_tls, "over TLS");
}

/// Measures the function in an environment of its own, with `tls` in front of its services.
fn measure_binary(
    caller: &Runtime,
    directory: &Path,
    (binary, name, event, expected): (&'static str, &'static str, Event, &'static str),
    tls: Option<&Tls>,
) -> Measurement {
    eprintln!("{binary}{}", if tls.is_some() { ", over TLS" } else { "" });
    let path = directory.join(binary);
    assert!(
        path.exists(),
        "{} does not exist: build it first, see the comment at the top",
        path.display()
    );
    let mut environment = Environment::start(caller);
    let plain = environment.variables();
    let function = Function {
        binary: path,
        variables: match tls {
            Some(tls) => tls.variables(plain, &environment.services()),
            None => plain,
        },
        expected,
    };
    let measured = measure(binary, name, &function, event, &mut environment);
    caller.block_on(measured)
}

async fn measure(
    binary: &'static str,
    name: &'static str,
    function: &Function,
    event: Event,
    environment: &mut Environment,
) -> Measurement {
    let (mut inits, mut firsts, mut warms) = (vec![], vec![], vec![]);
    for event in environment.events(event, COLD).await {
        let (mut process, init) = Process::start(function, &[]).await;
        inits.push(init);
        firsts.push(process.invoke(&event).await);
    }
    let events = environment.events(event, WARM_UP + WARM).await;
    let (mut process, _) = Process::start(function, &[]).await;
    for event in &events {
        warms.push(process.invoke(event).await);
    }
    let peak_bytes = process.peak_bytes();
    process.end().await;
    Measurement {
        binary,
        name,
        bytes: std::fs::metadata(&function.binary).map_or(0.0, |file| file.len() as f64),
        gzip_bytes: tools::gzip_bytes(&function.binary).await,
        init: median(&inits),
        first: median(&firsts),
        warm: median(&warms[WARM_UP..]),
        peak_bytes,
        calls: tools::system_calls(function, event, environment).await,
        instructions: tools::instructions(function, event, environment).await,
    }
}

fn median(times: &[Cost]) -> Cost {
    let of =
        |part: fn(&Cost) -> Duration| quantile(&times.iter().map(part).collect::<Vec<_>>(), 0.5);
    Cost {
        wall: of(|cost| cost.wall),
        cpu: of(|cost| cost.cpu),
    }
}

fn print_costs(all: &[Measurement], how: &str) {
    let header = [
        "",
        "file, KB",
        "gzip, KB",
        "memory, MB",
        "init, ms",
        "CPU",
        "first, ms",
        "CPU",
        "warm, ms",
        "CPU",
    ];
    let times = |cost: Cost| [number(millis(cost.wall)), number(millis(cost.cpu))];
    let row = |of: &Measurement| {
        let sizes = vec![
            of.name.to_owned(),
            number(of.bytes / 1e3),
            number_or_dash(of.gzip_bytes.map(|bytes| bytes / 1e3)),
            number(of.peak_bytes / 1e6),
        ];
        [
            sizes,
            times(of.init).to_vec(),
            times(of.first).to_vec(),
            times(of.warm).to_vec(),
        ]
        .concat()
    };
    let heading = format!(
        "Medians of {COLD} starts and {WARM} warm invocations, {how}; peak memory after {}",
        WARM_UP + WARM
    );
    print(&heading, &header, &all.iter().map(row).collect::<Vec<_>>());
}

fn print_counts(all: &[Measurement], how: &str) {
    let header = [
        "",
        "instructions of init, M",
        "of the first",
        "of a warm one",
        "system calls of init",
        "of the first",
        "of a warm one",
    ];
    let counts = |counts: Option<&Counts>, unit: f64| {
        let of =
            |part: fn(&Counts) -> f64| number_or_dash(counts.map(|counts| part(counts) / unit));
        vec![of(|c| c.init), of(|c| c.first), of(|c| c.warm)]
    };
    let row = |of: &Measurement| {
        [
            vec![of.name.to_owned()],
            counts(of.instructions.as_ref(), 1e6),
            counts(of.calls.as_ref(), 1.0),
        ]
        .concat()
    };
    print(
        &format!("Instructions and system calls, {how}"),
        &header,
        &all.iter().map(row).collect::<Vec<_>>(),
    );
}

fn print_ratios(all: &[Measurement]) {
    let header = [
        "",
        "file",
        "memory",
        "CPU of init",
        "of the first",
        "of a warm one",
        "instructions of a warm one",
    ];
    let floor = &all[FLOOR];
    let row = |of: &Measurement| {
        let cpu =
            |part: fn(&Measurement) -> Cost| ratio(millis(part(of).cpu), millis(part(floor).cpu));
        let instructions =
            |of: &Measurement| of.instructions.as_ref().map_or(0.0, |counts| counts.warm);
        vec![
            of.name.to_owned(),
            ratio(of.bytes, floor.bytes),
            ratio(of.peak_bytes, floor.peak_bytes),
            cpu(|of| of.init),
            cpu(|of| of.first),
            cpu(|of| of.warm),
            ratio(instructions(of), instructions(floor)),
        ]
    };
    print(
        "As multiples of one `UpdateItem`",
        &header,
        &all.iter().map(row).collect::<Vec<_>>(),
    );
}
