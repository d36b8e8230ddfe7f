//! Boundaries: reads the sources and holds what no compiler does. Each foreign crate is named in
//! its one place, words know no edge, functions know no other function, every file says what it is
//! and stays small enough to read.

use std::path::{Path, PathBuf};

/// A source file: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Without the unit tests at its bottom.
    fn program(&self) -> &str {
        self.text
            .split("\n#[cfg(test)]\n")
            .next()
            .unwrap_or_default()
    }

    /// Lines that are neither empty of code nor comments.
    fn code(&self) -> impl Iterator<Item = &str> {
        self.program()
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
    }

    /// Whether its code names `name` as a path or a crate.
    fn names(&self, name: &str) -> bool {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        self.code().any(|line| {
            line.match_indices(name).any(|(at, _)| {
                let before = line[..at].chars().next_back().is_none_or(|c| !is_word(c));
                let after = line[at + name.len()..].chars().next();
                before && (name.ends_with(':') || after.is_none_or(|c| !is_word(c)))
            })
        })
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether `source` takes anything from the crate called `name`.
fn uses(source: &Source, name: &str) -> bool {
    source.names(&format!("{name}::")) || source.names(&format!("use {name}"))
}

/// All Rust files under `directory` (from the root), sorted.
fn sources(directory: &str) -> Vec<Source> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = vec![];
    walk(&root().join(directory), &mut found);
    found.sort();
    let source = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a text");
        let path = path
            .strip_prefix(root())
            .expect("under the root")
            .to_string_lossy()
            .into_owned();
        Source { path, text }
    };
    found.into_iter().map(source).collect()
}

fn all_sources() -> Vec<Source> {
    ["shared", "functions", "local", "tests"]
        .into_iter()
        .flat_map(sources)
        .collect()
}

fn program_sources() -> Vec<Source> {
    ["shared/src", "functions", "local/src"]
        .into_iter()
        .flat_map(sources)
        .collect()
}

#[test]
fn each_foreign_crate_is_named_in_its_one_place() {
    let places: [(&str, &[&str]); 17] = [
        (
            "aws_sdk_dynamodb",
            &["shared/src/store/", "shared/src/platform/aws.rs"],
        ),
        ("aws_sdk_sqs", &["shared/src/platform/queue.rs"]),
        ("aws_sdk_sns", &["shared/src/carrier/sns.rs"]),
        ("aws_smithy_runtime_api", &["shared/src/platform/aws.rs"]),
        ("ring", &["shared/src/crypto/seal.rs"]),
        (
            "webpki",
            &["shared/src/carrier/sns_envelope/certificate.rs"],
        ),
        (
            "hyper_util",
            &[
                "shared/src/platform/https.rs",
                "local/src/simulated_carriers/",
                "local/src/remote_dynamodb.rs",
            ],
        ),
        ("hyper_rustls", &["shared/src/platform/https.rs"]),
        ("rlibphonenumber", &["shared/src/domain/phone.rs"]),
        ("idna", &["shared/src/domain/email.rs"]),
        (
            "lambda_http",
            &[
                "shared/src/api/",
                "functions/",
                "local/src/functions/processes.rs",
                "local/src/functions/in_process.rs",
            ],
        ),
        (
            "lambda_runtime",
            // `local` has a module of this name, and does not depend on the crate.
            &[
                "local/src/",
                "functions/carrier-worker/src/main.rs",
                "functions/delivery-callback/src/main.rs",
            ],
        ),
        (
            "rand",
            &[
                "shared/src/platform/random.rs",
                "shared/src/domain/code.rs",
                "shared/src/store/change.rs",
            ],
        ),
        ("tracing_subscriber", &["shared/src/platform/logging.rs"]),
        ("dynoxide", &["local/src/dynamodb.rs"]),
        ("axum", &["local/src/"]),
        (
            "jiff",
            &[
                "shared/src/domain/time.rs",
                "shared/src/carrier/vendor_format/response.rs",
                "shared/src/carrier/sns_envelope.rs",
            ],
        ),
    ];
    for (name, allowed) in places {
        for source in program_sources() {
            let is_allowed = allowed.iter().any(|place| {
                source.path == *place || (place.ends_with('/') && source.path.starts_with(place))
            });
            assert!(
                is_allowed || !uses(&source, name),
                "{} names {name}",
                source.path
            );
        }
    }
}

#[test]
fn the_environment_is_read_by_config_alone() {
    for source in program_sources() {
        let reads =
            source.names("std::env") || source.names("env::var") || source.names("env::vars");
        assert!(
            !reads || source.path == "shared/src/platform/environment.rs",
            "{}",
            source.path
        );
    }
}

#[test]
fn the_clock_and_the_dice_are_ambient_alone() {
    for source in program_sources().iter().filter(|source| {
        ![
            "shared/src/platform/clock.rs",
            "shared/src/platform/random.rs",
        ]
        .contains(&source.path.as_str())
            && source.path != "shared/src/platform/logging.rs"
    }) {
        for name in [
            "SystemTime",
            "SysRng",
            "OsRng",
            "ThreadRng",
            "thread_rng",
            "SmallRng",
            "StdRng",
            "Utc::now",
            "Timestamp::now",
        ] {
            assert!(!source.names(name), "{} names {name}", source.path);
        }
    }
}

/// Folders of `shared/src`, lowest first: each imports from itself and from those before it.
const LAYERS: [&str; 8] = [
    "domain", "platform", "crypto", "message", "carrier", "store", "config", "api",
];

#[test]
fn folders_import_downward_only() {
    for source in sources("shared/src")
        .iter()
        .filter(|source| source.path != "shared/src/lib.rs")
    {
        let folder = source
            .path
            .trim_start_matches("shared/src/")
            .split('/')
            .next()
            .unwrap_or_default();
        let rank = LAYERS
            .iter()
            .position(|layer| *layer == folder)
            .unwrap_or_else(|| panic!("{}: no layer", source.path));
        for above in &LAYERS[rank + 1..] {
            assert!(
                !source.names(&format!("crate::{above}")),
                "{} imports from {above}",
                source.path
            );
        }
    }
}

#[test]
fn domain_is_pure() {
    for source in &sources("shared/src/domain") {
        for name in [
            "async",
            "await",
            "serde",
            "serde_json",
            "tokio",
            "tracing",
            "std::fs",
            "std::net::Tcp",
            "std::env",
            "std::time",
        ] {
            assert!(!source.names(name), "{} names {name}", source.path);
        }
    }
}

#[test]
fn functions_know_no_other_function_and_shared_knows_none() {
    let crates = [
        ("send", "send"),
        ("verify", "verify"),
        ("delivery-callback", "delivery_callback"),
        ("carrier-worker", "carrier_worker"),
    ];
    for (folder, own) in crates {
        let manifest =
            std::fs::read_to_string(root().join(format!("functions/{folder}/Cargo.toml")))
                .expect("a manifest");
        for (other_folder, other) in crates.into_iter().filter(|(_, other)| *other != own) {
            assert!(
                !manifest
                    .lines()
                    .any(|line| line.starts_with(&format!("{other_folder}."))),
                "{folder} depends on {other_folder}"
            );
            for source in sources(&format!("functions/{folder}")) {
                assert!(
                    !source.names(&format!("{other}::handle"))
                        && !source.names(&format!("{other}::App")),
                    "{} names {other}",
                    source.path
                );
            }
        }
        let shared = std::fs::read_to_string(root().join("shared/Cargo.toml")).expect("a manifest");
        assert!(
            !shared
                .lines()
                .any(|line| line.starts_with(&format!("{folder}."))),
            "shared depends on {folder}"
        );
    }
}

#[test]
fn a_main_is_about_ten_lines() {
    for source in sources("functions")
        .iter()
        .filter(|source| source.path.ends_with("main.rs"))
    {
        let body = source
            .text
            .lines()
            .skip_while(|line| !line.contains("fn main"))
            .count();
        assert!(body <= 12, "{}: {body} lines", source.path);
    }
}

#[test]
fn every_file_says_what_it_is() {
    for source in all_sources() {
        assert!(
            source.text.starts_with("//! "),
            "{} opens with `//!`",
            source.path
        );
    }
}

#[test]
fn a_file_is_a_sitting_and_a_line_fits_the_screen() {
    /// Lines of a file without its tests.
    const LINES_MAX: usize = 400;
    /// The formatter breaks lines at 150 and leaves long texts alone.
    const LINE_CHARS_MAX: usize = 180;
    /// One noun each, and still longer.
    const LONGER: [(&str, usize); 1] = [("shared/src/store/item.rs", 470)];
    for source in all_sources() {
        let lines = source.program().lines().count();
        let lines_max = LONGER
            .iter()
            .find(|(path, _)| *path == source.path)
            .map_or(LINES_MAX, |(_, lines)| *lines);
        assert!(lines <= lines_max, "{}: {lines} lines", source.path);
        let longest = source
            .program()
            .lines()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0);
        assert!(
            longest <= LINE_CHARS_MAX,
            "{}: a line of {longest} characters",
            source.path
        );
    }
}

#[test]
fn a_function_fits_a_screen() {
    const LINES_MAX: usize = 70;
    for source in all_sources() {
        let mut open: Option<(usize, &str, String)> = None;
        for (number, line) in source.program().lines().enumerate() {
            let indent = &line[..line.len() - line.trim_start().len()];
            let starts = line.contains("fn ")
                && line.trim_end().ends_with('{')
                && !line.trim_start().starts_with("//");
            match &open {
                None if starts => open = Some((number, indent, line.trim().to_owned())),
                Some((from, own, name))
                    if line.starts_with(&format!("{own}}}")) && indent == *own =>
                {
                    assert!(
                        number - from < LINES_MAX,
                        "{}: {} lines: {name}",
                        source.path,
                        number - from + 1
                    );
                    open = None;
                }
                _ => {}
            }
        }
    }
}

#[test]
fn nothing_is_left_undone_or_ignored() {
    // Spelt apart, or this file would find itself.
    let unfinished = [
        ["todo", "!("],
        ["unimplemented", "!("],
        ["dbg", "!("],
        ["#[ign", "ore"],
        ["FIX", "ME"],
        ["TO", "DO"],
        ["XX", "X:"],
    ];
    for source in all_sources() {
        for word in &unfinished {
            let word = word.concat();
            assert!(!source.text.contains(&word), "{} has {word}", source.path);
        }
    }
}

#[test]
fn tests_are_sentences_and_do_not_sleep() {
    for source in all_sources() {
        assert!(
            !source.text.contains(&["fn ", "test_"].concat()),
            "{}: a test is a sentence",
            source.path
        );
    }
    for source in sources("tests") {
        let sleeps = [["tokio::time::", "sleep"], ["std::thread::", "sleep"]];
        assert!(
            !sleeps
                .iter()
                .any(|word| source.text.contains(&word.concat())),
            "{}: a sleep is no condition",
            source.path
        );
    }
}

#[test]
fn every_test_file_is_listed() {
    let main = std::fs::read_to_string(root().join("tests/main.rs")).expect("main.rs");
    for source in sources("tests")
        .iter()
        .filter(|source| source.path.matches('/').count() == 1 && source.path != "tests/main.rs")
    {
        let module = source
            .path
            .trim_start_matches("tests/")
            .trim_end_matches(".rs");
        assert!(main.contains(&format!("mod {module};")), "{module}");
    }
}

#[test]
fn every_locale_file_is_listed_and_complete() {
    let directory = root().join("shared/locales");
    let listed =
        std::fs::read_to_string(root().join("shared/src/message/locales.rs")).expect("locales.rs");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).expect("shared/locales") {
        let path = entry.expect("an entry").path();
        let tag = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a tag")
            .to_owned();
        assert!(
            listed.contains(&format!("\"{tag}\"")),
            "{tag} is not listed"
        );
        let text = std::fs::read_to_string(&path).expect("a text");
        for name in [
            "name",
            "dir",
            "sms",
            "sms_short",
            "sms_transaction",
            "voice",
            "voice_transaction",
            "subject",
            "email",
            "email_transaction",
        ] {
            assert!(
                text.lines()
                    .any(|line| line.starts_with(&format!("{name} = "))),
                "{tag} has no {name}"
            );
        }
        count += 1;
    }
    assert!(count >= 50, "{count} languages");
}
