//! Explores every interleaving of a few requests, workers and faults around one recipient. The
//! rules are those of the program: `Recipient`, `Verification`, `delivery_plan`, `Step`. The table
//! is a model of the conditional writes of the store; the order of reads, writes and calls is that
//! of the use cases.
//!
//! Each rule is also broken once: the exploration must find a violated invariant then.
//!
//! | file | what is in it |
//! |---|---|
//! | `explorer` | visits all states, shortest paths first |
//! | `table` | conditional writes, and what a fault does to them |
//! | `world` | the state, the scenario, and what may happen next |
//! | `broken` | rules that a scenario can break |
//! | `check`, `send`, `others` | requests of the app: check, send, resend, cancel; reports |
//! | `worker`, `handover`, `ending` | a worker with one dispatch |
//! | `invariants` | what must hold in every state |

mod broken;
mod check;
mod ending;
mod explorer;
mod handover;
mod invariants;
mod others;
mod send;
mod table;
mod worker;
mod world;

use broken::Broken;
use explorer::{Explored, Violation, explore};
use world::Scenario;

/// More than any scenario here has.
const STATES_MAX: usize = 2_000_000;

fn run(scenario: Scenario) -> Result<Explored, Violation> {
    explore(&scenario, STATES_MAX)
}

#[track_caller]
fn assert_holds(scenario: Scenario) {
    match run(scenario) {
        Ok(explored) => {
            println!("{explored:?}");
            assert!(explored.states > 1000, "{explored:?}");
        }
        Err(violation) => panic!("{violation:#?}"),
    }
}

/// Asserts that the exploration notices each of these broken rules.
#[track_caller]
fn assert_noticed(scenario: Scenario, rules: &[Broken]) {
    for rule in rules {
        let broken = Scenario {
            broken: Some(*rule),
            ..scenario
        };
        match run(broken) {
            Ok(explored) => panic!("{rule:?} is not noticed: {explored:?}"),
            Err(violation) => println!("{rule:?}: {}", violation.invariant),
        }
    }
}

/// Three checks, two sends, a cancel and a report.
const ATTEMPTS: Scenario = Scenario {
    checks: 3,
    cancels: 1,
    reports: 1,
    faults: 1,
    has_expiry: true,
    ..Scenario::TWO_SENDS
};

/// Two sends with their dispatches, two workers, a cancel and a report.
const DELIVERY: Scenario = Scenario {
    cancels: 1,
    reports: 1,
    workers: 2,
    faults: 1,
    crashes: 1,
    failed_calls: 1,
    ..Scenario::TWO_SENDS
};

#[test]
fn attempts_are_exact_in_every_interleaving() {
    assert_holds(ATTEMPTS);
}

#[test]
fn sends_are_exact_in_every_interleaving() {
    assert_holds(DELIVERY);
}

pub fn cli() {
    let get = |name: &str, default: u8| {
        std::env::args()
            .find_map(|a| {
                a.strip_prefix(&format!("{name}="))
                    .map(|v| v.parse().unwrap())
            })
            .unwrap_or(default)
    };
    let mut s = Scenario {
        checks: get("checks", 0),
        sends: get("sends", 2),
        cancels: get("cancels", 0),
        reports: get("reports", 0),
        workers: get("workers", 0),
        faults: get("faults", 0),
        crashes: get("crashes", 0),
        duplicates: get("dups", 0),
        failed_calls: get("fails", 0),
        stalls: get("stalls", 0),
        has_expiry: get("expiry", 0) > 0,
        is_repeated: get("repeated", 0) > 0,
        broken: None,
    };
    if let Some(b) = std::env::args().find_map(|a| a.strip_prefix("broken=").map(str::to_owned)) {
        s.broken = Some(*broken::ALL.iter().find(|x| format!("{x:?}") == b).unwrap());
    }
    let t = std::time::Instant::now();
    println!("{:#?} {:?}", explore(&s, 30_000_000), t.elapsed());
}
