//! The functions' release binaries, each as a process under a Lambda Runtime API of this program: size, start, first and warm
//! invocation, memory, system calls, instructions. Beside them a bare function and one that makes a single `UpdateItem`.
//!
//! ```sh
//! cargo build --release -p send -p verify -p delivery-callback -p carrier-worker -p minimal
//! cargo bench -p benches --bench functions
//! ```
//!
//! It prints Markdown tables, and what it does on standard error. The table is the local server's, in this process; queue and
//! carrier are ports that take everything at once. The processes see what Lambda sets and no other variable. System
//! calls need `strace`, instructions `valgrind`, compressed sizes `gzip`: where one is missing, so are its figures.
//! Not measured: TLS (the wire here is plain HTTP, so a real first call costs a handshake more), the network, Lambda's own part
//! of a cold start, its smaller share of a CPU, arm64. Nothing here is a test: no figure makes it fail.
#![allow(clippy::expect_used, reason = "a bench ends where it is surprised")]

mod process;
mod runtime_api;
mod tools;
mod world;

use std::path::PathBuf;
use std::time::Duration;

use benches::table::{figure, found, millis, print, quantile, ratio};
use clap::Parser;
use process::{Function, Process, Took};
use tools::Counts;
use world::{Event, World};

/// The binaries, the event of each, and what a right answer holds. The second is what the others
/// are held against.
const FUNCTIONS: [(&str, &str, Event, &str); 6] = [
    (
        "bench-hello",
        "a bare function",
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
        "`send`: a stranger's first",
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
/// Processes that are started for one invocation each.
const COLD: usize = 15;
/// Invocations of one process before the first that counts, and those that count.
const WARM_UP: usize = 20;
const WARM: usize = 200;

/// Measures the functions.
#[derive(Parser)]
struct Arguments {
    /// Where the release binaries are; beside this program, unless given
    #[arg(long)]
    binaries: Option<PathBuf>,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// All that is known of a function. Times are medians.
struct Figures {
    name: &'static str,
    bytes: f64,
    gzip_bytes: Option<f64>,
    init: Took,
    first: Took,
    warm: Took,
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
    let beside = own
        .parent()
        .and_then(|deps| deps.parent())
        .expect("the target's directory");
    let directory = arguments.binaries.unwrap_or_else(|| beside.to_owned());
    let mut all = vec![];
    for (binary, name, event, answers) in FUNCTIONS {
        eprintln!("{binary}");
        let binary = directory.join(binary);
        assert!(
            binary.exists(),
            "{} is not there: build it first, as the head of this bench says",
            binary.display()
        );
        let mut world = World::open(&caller);
        let function = Function {
            binary,
            variables: world.variables(),
            answers,
        };
        all.push(caller.block_on(measured(name, &function, event, &mut world)));
    }
    println!("## The functions, on {}", std::env::consts::ARCH);
    print_costs(&all);
    print_counts(&all);
    print_ratios(&all);
}

async fn measured(
    name: &'static str,
    function: &Function,
    event: Event,
    world: &mut World,
) -> Figures {
    let (mut inits, mut firsts, mut warms) = (vec![], vec![], vec![]);
    for event in world.events(event, COLD).await {
        let (mut process, init) = Process::start(function, &[]).await;
        inits.push(init);
        firsts.push(process.invoke(&event).await);
    }
    let events = world.events(event, WARM_UP + WARM).await;
    let (mut process, _) = Process::start(function, &[]).await;
    for event in &events {
        warms.push(process.invoke(event).await);
    }
    let peak_bytes = process.peak_bytes();
    process.end().await;
    Figures {
        name,
        bytes: std::fs::metadata(&function.binary).map_or(0.0, |file| file.len() as f64),
        gzip_bytes: tools::gzip_bytes(&function.binary).await,
        init: median(&inits),
        first: median(&firsts),
        warm: median(&warms[WARM_UP..]),
        peak_bytes,
        calls: tools::system_calls(function, event, world).await,
        instructions: tools::instructions(function, event, world).await,
    }
}

fn median(times: &[Took]) -> Took {
    let of =
        |part: fn(&Took) -> Duration| quantile(&times.iter().map(part).collect::<Vec<_>>(), 0.5);
    Took {
        wall: of(|took| took.wall),
        cpu: of(|took| took.cpu),
    }
}

fn print_costs(all: &[Figures]) {
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
    let times = |took: Took| [figure(millis(took.wall)), figure(millis(took.cpu))];
    let row = |of: &Figures| {
        let sizes = vec![
            of.name.to_owned(),
            figure(of.bytes / 1e3),
            found(of.gzip_bytes.map(|bytes| bytes / 1e3)),
            figure(of.peak_bytes / 1e6),
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
        "Size, start and invocations: medians of {COLD} starts and {WARM} warm invocations; peak memory after {}",
        WARM_UP + WARM
    );
    print(&heading, &header, &all.iter().map(row).collect::<Vec<_>>());
}

fn print_counts(all: &[Figures]) {
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
        let of = |part: fn(&Counts) -> f64| found(counts.map(|counts| part(counts) / unit));
        vec![of(|c| c.init), of(|c| c.first), of(|c| c.warm)]
    };
    let row = |of: &Figures| {
        [
            vec![of.name.to_owned()],
            counts(of.instructions.as_ref(), 1e6),
            counts(of.calls.as_ref(), 1.0),
        ]
        .concat()
    };
    print(
        "Instructions and system calls",
        &header,
        &all.iter().map(row).collect::<Vec<_>>(),
    );
}

fn print_ratios(all: &[Figures]) {
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
    let row = |of: &Figures| {
        let cpu = |part: fn(&Figures) -> Took| ratio(millis(part(of).cpu), millis(part(floor).cpu));
        let instructions =
            |of: &Figures| of.instructions.as_ref().map_or(0.0, |counts| counts.warm);
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
