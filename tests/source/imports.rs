//! Which files a file imports from: paths in code, resolved to the files of the same crate.

use std::collections::{BTreeMap, BTreeSet};

use super::rust_source::{Source, is_word, lex, sources};

/// The files of one crate by module path, and what each re-exports.
pub struct Crate {
    pub sources: Vec<Source>,
    /// Index into `sources` by module path, such as `["store", "recipients"]`.
    modules: BTreeMap<Vec<String>, usize>,
    /// Re-exported names of a module, and the module that each comes from.
    exports: BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>>,
}

/// An import: the index of the imported file, and the module path as it was resolved.
pub struct Import {
    pub to: usize,
    pub module: Vec<String>,
}

impl Crate {
    /// The crate whose `lib.rs` or `main.rs` is in `directory`.
    pub fn read(directory: &str) -> Self {
        let sources = sources(directory);
        let mut modules = BTreeMap::new();
        for (n, source) in sources.iter().enumerate() {
            // A `main.rs` beside a `lib.rs` is another crate.
            let module = module_path(directory, &source.path);
            if module != ["main"] {
                modules.insert(module, n);
            }
        }
        let mut all = Self {
            sources,
            modules,
            exports: BTreeMap::new(),
        };
        all.exports = all.read_exports();
        all
    }

    /// The module path of a file, without that of the crate.
    pub fn module(&self, file: usize) -> Vec<String> {
        let found = self.modules.iter().find(|(_, n)| **n == file);
        found.map(|(module, _)| module.clone()).unwrap_or_default()
    }

    fn read_exports(&self) -> BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>> {
        let mut exports: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for (module, n) in &self.modules {
            for statement in use_statements(&self.sources[*n]) {
                if !statement.is_public {
                    continue;
                }
                for path in statement.paths {
                    let Some(absolute) = self.absolute(module, &path) else {
                        continue;
                    };
                    if let Some((name, from)) = absolute.split_last() {
                        let names = exports.entry(module.clone()).or_default();
                        names.insert(name.clone(), from.to_vec());
                    }
                }
            }
        }
        exports
    }

    /// The files that file number `file` takes something from. A re-export counts for those who
    /// import the name, not for the file that re-exports it.
    pub fn imports(&self, file: usize) -> Vec<Import> {
        let module = self.module(file);
        let source = &self.sources[file];
        let mut paths = BTreeSet::new();
        for statement in use_statements(source) {
            if !statement.is_public {
                paths.extend(statement.paths);
            }
        }
        paths.extend(inline_paths(source));
        let resolved = paths.iter().filter_map(|path| {
            let target = self.resolve(&self.absolute(&module, path)?)?;
            let to = *self.modules.get(&target)?;
            (to != file).then_some(Import { to, module: target })
        });
        resolved.collect()
    }

    /// A path from the root of the crate; `None` for a path into another crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let join = |base: &[String], rest: &[String]| Some([base, rest].concat());
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => join(module, rest),
            "super" => {
                let (_, parent) = module.split_last()?;
                let levels = rest.iter().take_while(|part| *part == "super").count();
                join(parent.get(..parent.len() - levels)?, &rest[levels..])
            }
            // A child module by its name.
            _ => {
                let child = [module, std::slice::from_ref(first)].concat();
                let is_child = self.modules.contains_key(&child);
                is_child.then(|| [module, path].concat())
            }
        }
    }

    /// The module in which the item of an absolute path is defined.
    fn resolve(&self, path: &[String]) -> Option<Vec<String>> {
        let length = (0..=path.len()).rev();
        let mut lengths = length.filter(|length| self.modules.contains_key(&path[..*length]));
        let module = &path[..lengths.next()?];
        let exported = path.get(module.len()).and_then(|name| {
            let names = self.exports.get(module)?;
            names.get(name)
        });
        match exported {
            Some(from) => {
                let rest = [from.as_slice(), &path[module.len()..]].concat();
                let is_same = rest == path;
                if is_same {
                    Some(module.to_vec())
                } else {
                    self.resolve(&rest)
                }
            }
            None => Some(module.to_vec()),
        }
    }
}

/// `shared/src/store/limits/mod.rs` is the module `["store", "limits"]`.
fn module_path(directory: &str, path: &str) -> Vec<String> {
    let path = path.strip_prefix(directory).expect("under the directory");
    let path = path.trim_start_matches('/').trim_end_matches(".rs");
    let mut parts: Vec<_> = path.split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

/// The paths that a program imports, one for each name.
pub fn imported_paths(source: &Source) -> Vec<Vec<String>> {
    let statements = use_statements(source).into_iter();
    statements.flat_map(|statement| statement.paths).collect()
}

struct UseStatement {
    is_public: bool,
    paths: Vec<Vec<String>>,
}

/// The `use` statements of a program, with one path for each imported name.
fn use_statements(source: &Source) -> Vec<UseStatement> {
    let code = lex(source.program()).code;
    let statements = code.split(';').filter_map(|statement| {
        let starts = statement.match_indices("use ").map(|(at, _)| at);
        let is_keyword = |at: &usize| !statement[..*at].ends_with(is_word);
        let at = starts.filter(is_keyword).last()?;
        let visibility = statement[..at].trim_end();
        Some(UseStatement {
            is_public: visibility.ends_with("pub") || visibility.ends_with(')'),
            paths: expand(&statement[at + "use ".len()..]),
        })
    });
    statements.collect()
}

/// `a::{b, c::d as e}` are the paths `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<Vec<String>> {
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        let parts = path.split("::").map(|part| part.trim().to_owned());
        return vec![
            parts
                .filter(|part| !part.is_empty() && part != "*")
                .collect(),
        ];
    };
    let prefix = expand(tree[..open].trim_end_matches("::")).remove(0);
    let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let (mut depth, mut start, mut branches) = (0, 0, vec![]);
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    branches.push(&inner[start..]);
    let branches = branches.iter().map(|branch| branch.trim());
    branches
        .filter(|branch| !branch.is_empty())
        .flat_map(expand)
        .map(|path| {
            let path = path.into_iter().filter(|part| part != "self");
            prefix.iter().cloned().chain(path).collect()
        })
        .collect()
}

/// Paths in the code that start with `crate`, `super` or `self`.
fn inline_paths(source: &Source) -> Vec<Vec<String>> {
    let code = lex(source.program()).code;
    let is_part = |c: char| is_word(c) || c == ':';
    let words = code.split(|c| !is_part(c));
    let paths = words.filter(|word| {
        ["crate::", "super::", "self::"]
            .iter()
            .any(|start| word.starts_with(start))
    });
    let parts = |path: &str| {
        let parts = path.split("::").filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    };
    paths.map(parts).collect()
}

#[test]
fn use_trees_are_expanded() {
    let paths = expand("crate::a::{self, b::{C, D as E}, f}");
    let joined: Vec<_> = paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(
        joined,
        [
            "crate::a",
            "crate::a::b::C",
            "crate::a::b::D",
            "crate::a::f"
        ]
    );
}
