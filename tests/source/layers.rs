//! Folders of `shared/src` import downward only, and so do the crates: tests, local, functions,
//! otp.

use std::collections::BTreeSet;

use super::assert_none;
use super::imports::Crate;
use super::rust_source::{functions, read};

/// Folders of `shared/src`, lowest first: each imports from itself and from those before it.
const LAYERS: [&str; 9] = [
    "domain", "platform", "crypto", "message", "carrier", "store", "config", "service", "api",
];

#[test]
fn folders_import_downward_only() {
    let all = Crate::read("shared/src");
    let mut problems = vec![];
    for file in 0..all.sources.len() {
        let Some(own) = rank(&all.module(file)) else {
            continue;
        };
        for import in all.imports(file) {
            if rank(&import.module).is_none_or(|imported| imported > own) {
                problems.push(format!(
                    "{} imports from {}",
                    all.sources[file].path, all.sources[import.to].path
                ));
            }
        }
    }
    assert_none(&problems);
}

/// The layer of a module; `None` for the root of the crate.
fn rank(module: &[String]) -> Option<usize> {
    let folder = module.first()?;
    let rank = LAYERS.iter().position(|layer| layer == folder);
    Some(rank.unwrap_or_else(|| panic!("shared/src/{folder} is not in LAYERS")))
}

#[test]
fn every_layer_exists() {
    let all = Crate::read("shared/src");
    let folders: BTreeSet<_> = (0..all.sources.len())
        .filter_map(|file| all.module(file).first().cloned())
        .collect();
    let listed: BTreeSet<_> = LAYERS.iter().map(|layer| (*layer).to_owned()).collect();
    assert_eq!(folders, listed);
}

#[test]
fn crates_depend_downward_only() {
    let functions = functions();
    let functions: Vec<&str> = functions.iter().map(String::as_str).collect();
    let above_functions = ["local", "tests"];
    let mut problems = vec![];
    let mut check = |manifest: &str, forbidden: &[&str]| {
        for name in forbidden {
            if depends_on(manifest, name) {
                problems.push(format!("{manifest} depends on {name}"));
            }
        }
    };
    check(
        "shared/Cargo.toml",
        &[&functions[..], &above_functions].concat(),
    );
    for own in &functions {
        let mut others = functions.clone();
        others.retain(|other| other != own);
        check(
            &format!("functions/{own}/Cargo.toml"),
            &[&others[..], &above_functions].concat(),
        );
    }
    check("local/Cargo.toml", &["tests"]);
    assert_none(&problems);
}

fn depends_on(manifest: &str, name: &str) -> bool {
    read(manifest).lines().any(|line| {
        let rest = line.trim_start().strip_prefix(name).unwrap_or_default();
        rest.starts_with('.') || rest.trim_start().starts_with('=')
    }) && !name.is_empty()
}
