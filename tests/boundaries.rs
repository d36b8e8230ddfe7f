//! Boundaries: reads the sources and holds what no compiler does. Each foreign crate is named in its one place, words
//! know no edge, functions know no other function, every file says what it is and stays small enough to read.

use std::path::{Path, PathBuf};

/// A source file: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Without the unit tests at its bottom.
    fn program(&self) -> &str {
        self.text.split("\n#[cfg(test)]\n").next().unwrap_or_default()
    }

    /// Lines that are neither empty of code nor comments.
    fn code(&self) -> impl Iterator<Item = &str> {
        self.program().lines().filter(|line| !line.trim_start().starts_with("//"))
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
        for entry in std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
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
        let path = path.strip_prefix(root()).expect("under the root").to_string_lossy().into_owned();
        Source { path, text }
    };
    found.into_iter().map(source).collect()
}

fn all_sources() -> Vec<Source> {
    ["shared", "functions", "local", "tests"].into_iter().flat_map(sources).collect()
}

fn program_sources() -> Vec<Source> {
    ["shared/src", "functions", "local/src"].into_iter().flat_map(sources).collect()
}

/// Pure modules of `shared/src`.
const WORDS: [&str; 10] =
    ["timestamp.rs", "traffic.rs", "code.rs", "phone.rs", "address.rs", "delivery.rs", "verification.rs", "recipient.rs", "message.rs", "policy.rs"];
const WORD_FOLDERS: [&str; 1] = ["shared/src/message/"];

fn is_word(path: &str) -> bool {
    let file = path.strip_prefix("shared/src/");
    file.is_some_and(|file| WORDS.contains(&file)) || WORD_FOLDERS.iter().any(|folder| path.starts_with(folder))
}

#[test]
fn each_foreign_crate_is_named_in_its_one_place() {
    let places: [(&str, &[&str]); 17] = [
        ("aws_sdk_dynamodb", &["shared/src/store.rs", "shared/src/store/", "shared/src/aws.rs"]),
        ("aws_sdk_sqs", &["shared/src/queue.rs"]),
        ("aws_sdk_sns", &["shared/src/carrier/sns.rs"]),
        ("aws_smithy_runtime_api", &["shared/src/aws.rs"]),
        ("ring", &["shared/src/seal.rs"]),
        ("webpki", &["shared/src/carrier/sns_message.rs"]),
        ("hyper_util", &["shared/src/https.rs", "local/src/network.rs", "local/src/remote.rs"]),
        ("hyper_rustls", &["shared/src/https.rs"]),
        ("rlibphonenumber", &["shared/src/phone.rs"]),
        ("idna", &["shared/src/address.rs"]),
        ("lambda_http", &["shared/src/http.rs", "functions/", "local/src/gateway.rs"]),
        ("lambda_runtime", &["functions/carrier-worker/src/main.rs", "functions/delivery-callback/src/main.rs"]),
        ("rand", &["shared/src/ambient.rs", "shared/src/code.rs", "shared/src/store/change.rs"]),
        ("tracing_subscriber", &["shared/src/telemetry.rs"]),
        ("dynoxide", &["local/src/engine.rs"]),
        ("axum", &["local/src/"]),
        ("jiff", &["shared/src/timestamp.rs", "shared/src/carrier/mod.rs", "shared/src/carrier/sns_message.rs"]),
    ];
    for (name, allowed) in places {
        for source in program_sources() {
            let is_allowed = allowed.iter().any(|place| source.path == *place || (place.ends_with('/') && source.path.starts_with(place)));
            assert!(is_allowed || !uses(&source, name), "{} names {name}", source.path);
        }
    }
}

#[test]
fn the_environment_is_read_by_config_alone() {
    for source in program_sources() {
        let reads = source.names("std::env") || source.names("env::var") || source.names("env::vars");
        assert!(!reads || source.path == "shared/src/config.rs", "{}", source.path);
    }
}

#[test]
fn the_clock_and_the_dice_are_ambient_alone() {
    for source in program_sources().iter().filter(|source| source.path != "shared/src/ambient.rs" && source.path != "shared/src/telemetry.rs") {
        for name in ["SystemTime", "SysRng", "OsRng", "ThreadRng", "thread_rng", "SmallRng", "StdRng", "Utc::now", "Timestamp::now"] {
            assert!(!source.names(name), "{} names {name}", source.path);
        }
    }
}

#[test]
fn words_are_pure() {
    let words: Vec<Source> = sources("shared/src").into_iter().filter(|source| is_word(&source.path)).collect();
    assert!(words.len() >= WORDS.len(), "all of them are there");
    let edges = ["http", "https", "view", "store", "seal", "queue", "carrier", "aws", "config", "ambient", "telemetry", "json"];
    for source in &words {
        for name in ["async", "await", "serde", "serde_json", "tokio", "tracing", "std::fs", "std::net::Tcp", "std::env", "std::time"] {
            assert!(!source.names(name), "{} names {name}", source.path);
        }
        for edge in edges {
            assert!(!source.names(&format!("crate::{edge}")), "{} names the edge {edge}", source.path);
        }
    }
}

#[test]
fn the_words_are_all_that_lib_lists_as_words() {
    let lib = std::fs::read_to_string(root().join("shared/src/lib.rs")).expect("lib.rs");
    let words = lib.split("// Words.").nth(1).and_then(|rest| rest.split("// Edges.").next()).expect("the list of words");
    let listed: Vec<String> = words.lines().filter_map(|line| line.strip_prefix("pub mod ")).map(|m| m.replace(';', ".rs")).collect();
    let mut sorted = (listed, WORDS.map(str::to_owned).to_vec());
    sorted.0.sort();
    sorted.1.sort();
    assert_eq!(sorted.0, sorted.1);
}

#[test]
fn functions_know_no_other_function_and_shared_knows_none() {
    let crates = [("send", "send"), ("verify", "verify"), ("delivery-callback", "delivery_callback"), ("carrier-worker", "carrier_worker")];
    for (folder, own) in crates {
        let manifest = std::fs::read_to_string(root().join(format!("functions/{folder}/Cargo.toml"))).expect("a manifest");
        for (other_folder, other) in crates.into_iter().filter(|(_, other)| *other != own) {
            assert!(!manifest.lines().any(|line| line.starts_with(&format!("{other_folder}."))), "{folder} depends on {other_folder}");
            for source in sources(&format!("functions/{folder}")) {
                assert!(!source.names(&format!("{other}::handle")) && !source.names(&format!("{other}::App")), "{} names {other}", source.path);
            }
        }
        let shared = std::fs::read_to_string(root().join("shared/Cargo.toml")).expect("a manifest");
        assert!(!shared.lines().any(|line| line.starts_with(&format!("{folder}."))), "shared depends on {folder}");
    }
}

#[test]
fn a_main_is_about_ten_lines() {
    for source in sources("functions").iter().filter(|source| source.path.ends_with("main.rs")) {
        let body = source.text.lines().skip_while(|line| !line.contains("fn main")).count();
        assert!(body <= 12, "{}: {body} lines", source.path);
    }
}

#[test]
fn every_file_says_what_it_is() {
    for source in all_sources() {
        assert!(source.text.starts_with("//! "), "{} opens with `//!`", source.path);
    }
}

#[test]
fn a_file_is_a_sitting_and_a_line_fits_the_screen() {
    /// Lines of a file without its tests.
    const LINES_MAX: usize = 400;
    /// The formatter breaks lines at 150 and leaves long texts alone.
    const LINE_CHARS_MAX: usize = 180;
    /// One noun each, and still longer.
    const LONGER: [(&str, usize); 2] = [("shared/src/store/item.rs", 470), ("shared/src/carrier/mod.rs", 480)];
    for source in all_sources() {
        let lines = source.program().lines().count();
        let lines_max = LONGER.iter().find(|(path, _)| *path == source.path).map_or(LINES_MAX, |(_, lines)| *lines);
        assert!(lines <= lines_max, "{}: {lines} lines", source.path);
        let longest = source.program().lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(longest <= LINE_CHARS_MAX, "{}: a line of {longest} characters", source.path);
    }
}

#[test]
fn a_function_fits_a_screen() {
    const LINES_MAX: usize = 70;
    for source in all_sources() {
        let mut open: Option<(usize, &str, String)> = None;
        for (number, line) in source.text.lines().enumerate() {
            let indent = &line[..line.len() - line.trim_start().len()];
            let starts = line.contains("fn ") && line.trim_end().ends_with('{') && !line.trim_start().starts_with("//");
            match &open {
                None if starts => open = Some((number, indent, line.trim().to_owned())),
                Some((from, own, name)) if line.starts_with(&format!("{own}}}")) && indent == *own => {
                    assert!(number - from < LINES_MAX, "{}: {} lines: {name}", source.path, number - from + 1);
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
    let unfinished = [["todo", "!("], ["unimplemented", "!("], ["dbg", "!("], ["#[ign", "ore"], ["FIX", "ME"], ["TO", "DO"], ["XX", "X:"]];
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
        assert!(!source.text.contains(&["fn ", "test_"].concat()), "{}: a test is a sentence", source.path);
    }
    for source in sources("tests") {
        let sleeps = [["tokio::time::", "sleep"], ["std::thread::", "sleep"]];
        assert!(!sleeps.iter().any(|word| source.text.contains(&word.concat())), "{}: a sleep is no condition", source.path);
    }
}

#[test]
fn every_test_file_is_listed() {
    let main = std::fs::read_to_string(root().join("tests/main.rs")).expect("main.rs");
    for source in sources("tests").iter().filter(|source| source.path.matches('/').count() == 1 && source.path != "tests/main.rs") {
        let module = source.path.trim_start_matches("tests/").trim_end_matches(".rs");
        assert!(main.contains(&format!("mod {module};")), "{module}");
    }
}

#[test]
fn every_locale_file_is_listed_and_complete() {
    let directory = root().join("shared/locales");
    let listed = std::fs::read_to_string(root().join("shared/src/message/locales.rs")).expect("locales.rs");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).expect("shared/locales") {
        let path = entry.expect("an entry").path();
        let tag = path.file_stem().and_then(|stem| stem.to_str()).expect("a tag").to_owned();
        assert!(listed.contains(&format!("\"{tag}\"")), "{tag} is not listed");
        let text = std::fs::read_to_string(&path).expect("a text");
        for name in ["name", "dir", "sms", "sms_short", "sms_transaction", "voice", "voice_transaction", "subject", "email", "email_transaction"] {
            assert!(text.lines().any(|line| line.starts_with(&format!("{name} = "))), "{tag} has no {name}");
        }
        count += 1;
    }
    assert!(count >= 50, "{count} languages");
}
