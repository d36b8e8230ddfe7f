//! Each foreign crate is named in one file, unless it is listed here with the places that may name
//! it: a crate that is replaced is replaced in one place.

use std::collections::BTreeMap;

use super::assert_none;
use super::rust_source::{Source, contains_word, lex, program_sources, read};

/// General-purpose crates. `purity` keeps most of them out of the domain.
const EVERYWHERE: [&str; 8] = [
    "bytes",
    "data_encoding",
    "http",
    "serde",
    "serde_json",
    "thiserror",
    "tokio",
    "tracing",
];

/// Crates that several files name, and where: files, or folders that end with `/`.
const SHARED: [(&str, &[&str]); 27] = [
    ("aws_config", &["local/src/operator/"]),
    ("aws_lambda_events", &["functions/", "local/src/"]),
    (
        "aws_sdk_dynamodb",
        &[
            "shared/src/platform/aws_endpoint.rs",
            "shared/src/platform/in_process.rs",
            "shared/src/store/",
            "local/src/dynamodb_calls.rs",
        ],
    ),
    ("aws_sdk_secretsmanager", &["local/src/operator/"]),
    (
        "aws_sdk_sns",
        &[
            "shared/src/platform/aws_endpoint.rs",
            "shared/src/carrier/sns.rs",
            "local/src/operator/",
        ],
    ),
    (
        "aws_sdk_sqs",
        &[
            "shared/src/platform/aws_endpoint.rs",
            "shared/src/platform/queue.rs",
            "local/src/operator/",
        ],
    ),
    (
        "aws_smithy_runtime_api",
        &[
            "shared/src/platform/aws.rs",
            "shared/src/platform/aws_client.rs",
            "shared/src/platform/aws_connector.rs",
        ],
    ),
    (
        "aws_smithy_types",
        &[
            "shared/src/platform/aws.rs",
            "shared/src/platform/aws_client.rs",
            "shared/src/platform/aws_connector.rs",
        ],
    ),
    ("axum", &["local/src/"]),
    ("clap", &["local/src/"]),
    (
        "dynoxide",
        &["local/src/dynamodb.rs", "local/src/dynamodb_calls.rs"],
    ),
    ("form_urlencoded", &["shared/src/carrier/"]),
    (
        "futures_util",
        &[
            "shared/src/platform/aws.rs",
            "shared/src/platform/aws_endpoint.rs",
            "shared/src/store/limits/",
        ],
    ),
    ("http_body_util", &["shared/src/", "local/src/"]),
    ("hyper", &["local/src/"]),
    (
        "hyper_util",
        &["shared/src/platform/https.rs", "local/src/"],
    ),
    (
        "jiff",
        &[
            "shared/src/domain/time.rs",
            "shared/src/message/time_zones.rs",
            "shared/src/carrier/",
        ],
    ),
    ("mimalloc", &["functions/", "local/src/lib.rs"]),
    ("roxmltree", &["shared/src/carrier/cm/"]),
    (
        "lambda_http",
        &["shared/src/api/", "functions/", "local/src/"],
    ),
    ("lambda_runtime", &["functions/"]),
    ("postcard", &["shared/src/store/"]),
    ("rand", &["shared/src/"]),
    (
        "ring",
        &["shared/src/crypto/", "shared/src/platform/aws_signature.rs"],
    ),
    (
        "rlibphonenumber",
        &[
            "shared/src/domain/phone.rs",
            "shared/src/domain/phone_tables.rs",
        ],
    ),
    (
        "rustls_pki_types",
        &["shared/src/platform/https.rs", "shared/src/carrier/"],
    ),
    ("serde_norway", &["local/src/"]),
];

/// The foreign dependencies of the workspace, as code names them.
fn dependencies() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let table = manifest.split("[workspace.dependencies]").nth(1);
    let table = table.expect("dependencies").split("\n[").next();
    let lines = table.unwrap_or_default().lines();
    let entries = lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .filter(|(_, value)| !value.starts_with("{ path"));
    let in_code = |(name, _)| match name {
        "rustls-webpki" => "webpki".to_owned(),
        "dynoxide-rs" => "dynoxide".to_owned(),
        name => name.replace('-', "_"),
    };
    entries.map(in_code).collect()
}

/// Whether the program takes anything from the crate called `name`.
fn uses(code: &str, name: &str) -> bool {
    let path = format!("{name}::");
    let is_start = |at: usize| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
    };
    code.match_indices(&path).any(|(at, _)| is_start(at))
        || contains_word(code, &format!("use {name}"))
}

#[test]
fn each_foreign_crate_is_named_in_one_place() {
    let sources = program_sources();
    let codes: Vec<(&Source, String)> = sources
        .iter()
        .map(|source| (source, lex(source.program()).code))
        .collect();
    let shared: BTreeMap<_, _> = SHARED.into_iter().collect();
    let names = dependencies().into_iter();
    let mut problems = vec![];
    for name in names.filter(|name| !EVERYWHERE.contains(&name.as_str())) {
        let users = codes.iter().filter(|(_, code)| uses(code, &name));
        let users: Vec<&str> = users.map(|(source, _)| source.path.as_str()).collect();
        match shared.get(name.as_str()) {
            Some(places) => problems.extend(misplaced(&name, &users, places)),
            None if users.len() > 1 => {
                problems.push(format!("{name} is named in {}", users.join(", ")));
            }
            None => {}
        }
    }
    assert_none(&problems);
}

/// Files that name a crate outside its places, and places that do not name it any more.
fn misplaced(name: &str, users: &[&str], places: &[&str]) -> Vec<String> {
    let is_in = |path: &str, place: &str| {
        path == place || (place.ends_with('/') && path.starts_with(place))
    };
    let outside = users
        .iter()
        .filter(|path| !places.iter().any(|place| is_in(path, place)));
    let stale = places
        .iter()
        .filter(|place| !users.iter().any(|path| is_in(path, place)));
    outside
        .map(|path| format!("{path} names {name}"))
        .chain(stale.map(|place| format!("{place} does not name {name}: remove it from the list")))
        .collect()
}

/// Crates for the command line, which would make the functions larger and their start slower.
const OF_OPERATORS: [&str; 4] = [
    "aws-config",
    "aws-sdk-cloudformation",
    "aws-sdk-secretsmanager",
    "aws-sdk-sts",
];

#[test]
fn functions_do_not_link_the_clients_of_operators() {
    let functions = [
        "send",
        "verify",
        "factors",
        "delivery-callback",
        "carrier-worker",
    ];
    let functions = functions.map(|name| format!("functions/{name}/Cargo.toml"));
    let manifests = functions
        .into_iter()
        .chain(["shared/Cargo.toml".to_owned()]);
    let problems: Vec<String> = manifests
        .flat_map(|path| {
            let manifest = read(&path);
            let named = OF_OPERATORS
                .iter()
                .filter(move |name| manifest.contains(**name));
            named
                .map(move |name| format!("{path} names {name}"))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_none(&problems);
    // They depend on one another and on `otp` only, so nothing of them comes through `local`.
    let local = read("local/Cargo.toml");
    assert!(OF_OPERATORS.iter().all(|name| local.contains(name)));
}
