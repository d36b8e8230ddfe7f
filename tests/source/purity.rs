//! The domain is pure, and the world outside enters through the platform layer.

use super::assert_none;
use super::rust_source::{program_sources, sources};

#[test]
fn domain_is_pure() {
    const FORBIDDEN: [&str; 11] = [
        "async",
        "await",
        "serde",
        "serde_json",
        "tokio",
        "tracing",
        "std::fs",
        "std::io",
        "std::net::TcpStream",
        "std::env",
        "std::time",
    ];
    let mut problems = vec![];
    for source in &sources("shared/src/domain") {
        for name in FORBIDDEN.iter().filter(|name| source.names(name)) {
            problems.push(format!("{} names {name}", source.path));
        }
    }
    assert_none(&problems);
}

#[test]
fn platform_alone_reads_environment_clock_and_randomness() {
    const SOURCES_OF_STATE: [&str; 12] = [
        "std::env",
        "env::var",
        "env::vars",
        "SystemTime",
        "SysRng",
        "OsRng",
        "ThreadRng",
        "thread_rng",
        "SmallRng",
        "StdRng",
        "Utc::now",
        "Timestamp::now",
    ];
    let mut problems = vec![];
    for source in program_sources() {
        if source.path.starts_with("shared/src/platform/") {
            continue;
        }
        for name in SOURCES_OF_STATE.iter().filter(|name| source.names(name)) {
            problems.push(format!("{} names {name}", source.path));
        }
    }
    assert_none(&problems);
}
