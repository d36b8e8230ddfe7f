//! Checks that read the repository's files: what no compiler holds. They walk the tree, so that a
//! new file is checked without being listed.
//!
//! | file | what it holds |
//! |---|---|
//! | `layers` | folders and crates import downward only |
//! | `cycles` | no file imports itself through others |
//! | `crates` | each foreign crate is named in one place |
//! | `purity` | the domain is pure; the platform layer reads environment, clock and randomness |
//! | `sizes` | files, functions and lines are short; every file says what it is |
//! | `words` | plain words in code, comments and documentation |
//! | `test_style` | names of tests; no sleeps; nothing unfinished |
//! | `modules` | every file is declared as a module |
//! | `locales` | every locale is listed and complete |
//! | `phone_metadata` | the metadata of phone numbers is that of the libphonenumber port |
//! | `iam` | each function's role allows exactly the AWS actions that it calls |
//!
//! `rust_source` finds and splits the sources, `imports` resolves their paths, `call_graph` their
//! calls.

mod call_graph;
mod crates;
mod cycles;
mod declarations;
mod documentation;
mod iam;
mod imports;
mod layers;
mod locales;
mod modules;
mod phone_metadata;
mod purity;
mod rust_source;
mod sizes;
mod test_style;
mod words;

/// Fails with all problems at once, one a line.
#[track_caller]
fn assert_none(problems: &[String]) {
    assert!(
        problems.is_empty(),
        "{} problems:\n{}",
        problems.len(),
        problems.join("\n")
    );
}
