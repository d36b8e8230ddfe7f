//! Every Rust file is declared as a module: an undeclared file is never compiled, and its tests
//! never run.

use std::collections::BTreeSet;

use super::assert_none;
use super::rust_source::{Source, files, lex, source_roots, sources};

#[test]
fn every_file_is_declared_as_a_module() {
    let mut declared = BTreeSet::new();
    let roots = source_roots().into_iter();
    let roots = roots.flat_map(|root| [format!("{root}/lib.rs"), format!("{root}/main.rs")]);
    for root in roots.chain(
        [
            "tests/main.rs",
            "tests/support/mod.rs",
            "tests/attacks/main.rs",
            "tests/fuzz/main.rs",
        ]
        .map(str::to_owned),
    ) {
        if files(".").contains(&root) {
            declare(&root, &mut declared);
        }
    }
    let mut all: Vec<String> = source_roots().iter().flat_map(|root| files(root)).collect();
    all.extend(files("tests"));
    let problems: Vec<_> = all
        .into_iter()
        .filter(|path| path.ends_with(".rs") && !path.starts_with("tests/benches/"))
        .filter(|path| !declared.contains(path))
        .map(|path| format!("{path} is not declared as a module"))
        .collect();
    assert_none(&problems);
}

/// Adds `path` and the files of its modules to `declared`.
fn declare(path: &str, declared: &mut BTreeSet<String>) {
    if !declared.insert(path.to_owned()) {
        return;
    }
    let (folder, file) = path.rsplit_once('/').unwrap_or_default();
    let folder = match file {
        "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
        file => format!("{folder}/{}", file.trim_end_matches(".rs")),
    };
    let candidates = sources(path.rsplit_once('/').unwrap_or_default().0);
    let source = candidates.into_iter().find(|source| source.path == path);
    for name in source.iter().flat_map(modules) {
        let own = [
            format!("{folder}/{name}.rs"),
            format!("{folder}/{name}/mod.rs"),
        ];
        for child in own {
            if super::rust_source::root().join(&child).exists() {
                declare(&child, declared);
            }
        }
    }
}

/// The names in `mod name;`.
fn modules(source: &Source) -> Vec<String> {
    let code = lex(&source.text).code;
    let names = code.lines().filter_map(|line| {
        let line = line.trim().strip_suffix(';')?;
        let (before, name) = line.rsplit_once("mod ")?;
        let is_visibility = before.is_empty() || before.starts_with("pub");
        is_visibility.then(|| name.to_owned())
    });
    names.collect()
}
