//! The walkthrough of docs/factors.md, as pasted into a terminal: bash, curl and Python against a
//! local server. What each block prints is compared with the page.

use std::process::Stdio;

use tokio::process::Command;

use crate::support::{LocalProcess, TempDirectory};

/// The address in the walkthrough, instead of which each test has one of its own.
const ADDRESS: &str = "http://127.0.0.1:8080";
/// What a block prints before its own output.
const MARK: &str = "== next block";

/// A block of commands, and what it prints.
struct Block {
    commands: String,
    output: String,
}

/// The fenced blocks of the section `heading`; outputs are fenced as `text`.
fn blocks(page: &str, heading: &str) -> Vec<Block> {
    let section = page.split(heading).nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    let mut blocks: Vec<Block> = vec![];
    for fenced in section.split("\n```").skip(1).step_by(2) {
        let (language, text) = fenced.split_once('\n').expect("a block");
        let text = format!("{text}\n");
        match language {
            "sh" => blocks.push(Block {
                commands: text,
                output: String::new(),
            }),
            "text" => blocks.last_mut().expect("commands first").output = text,
            other => panic!("a block of {other}"),
        }
    }
    blocks
}

/// What bash prints.
async fn bash(script: &str, directory: &TempDirectory) -> String {
    std::fs::create_dir_all(directory.path()).expect("a directory");
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .await
        .expect("bash runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{errors}");
    printed
}

#[tokio::test]
async fn walkthrough_prints_what_the_page_shows() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/factors.md");
    let page = std::fs::read_to_string(page).expect("docs/factors.md");
    let blocks = blocks(&page, "\n## Walkthrough\n");
    let (server, client) = blocks.split_first().expect("blocks");
    assert!(client.len() >= 5, "{} blocks", client.len());
    let directory = TempDirectory::new();
    let print_rules = server
        .commands
        .replace("cargo run", r#"printf %s "$OTP_RULES""#);
    assert_ne!(print_rules, server.commands);
    let rules = bash(&print_rules, &directory).await;
    let variables = [("OTP_RULES", rules.as_str())];
    let process = LocalProcess::start_with_arguments(&[], &variables).await;
    let marked = |block: &Block| format!("echo '{MARK}'\n{}", block.commands);
    let script: String = client.iter().map(marked).collect();
    assert_eq!(script.matches(ADDRESS).count(), 1);
    let script = script.replace(ADDRESS, &process.service.base);
    let printed = bash(&script, &directory).await;
    let mark = format!("{MARK}\n");
    let outputs: Vec<&str> = printed.split(mark.as_str()).skip(1).collect();
    let expected: Vec<&str> = client.iter().map(|block| block.output.as_str()).collect();
    assert_eq!(outputs, expected);
    let qr = std::fs::read_to_string(directory.path().join("qr.svg")).expect("a picture");
    assert!(qr.contains("<svg"), "{qr}");
}
