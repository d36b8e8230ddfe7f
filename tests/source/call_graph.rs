//! Which functions of the program a crate can call.
//!
//! Names are resolved by simple rules. The value before a method call has one of the types that are
//! declared for its name anywhere (`store: &Store`). A method is reached only if code that is
//! reached names its type. A call on the result of another call, or on a value without a declared
//! type, is not followed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use super::declarations::{Declarations, owner};
use super::imports::imported_paths;
use super::rust_source::{Source, identifiers, is_type, is_word, lex, starts};

/// A function, a method, or the value of a constant.
pub struct Function {
    /// From the root of the repository.
    pub path: String,
    /// The type of its `impl` block.
    owner: Option<String>,
    name: String,
    /// Without comments and spaces, with strings.
    pub body: String,
    /// Without comments and strings.
    code: String,
    /// The names that its file imports, with the module of each.
    imports: Rc<BTreeMap<String, String>>,
}

/// The functions and constants of a program, and its declarations.
pub struct Program {
    pub functions: Vec<Function>,
    declared: Declarations,
}

impl Program {
    /// Without the functions called `never_called`, each of which must exist.
    pub fn read(sources: &[Source], never_called: &[&str]) -> Self {
        let mut functions: Vec<Function> = sources.iter().flat_map(functions_of).collect();
        for name in never_called {
            let before = functions.len();
            functions.retain(|function| function.name != *name);
            assert!(functions.len() < before, "no function is called {name}");
        }
        Self {
            functions,
            declared: Declarations::read(sources),
        }
    }
}

fn functions_of(source: &Source) -> Vec<Function> {
    let code = lex(source.program()).code;
    let impls: Vec<(Range<usize>, String)> = starts(&code, "impl")
        .filter_map(|at| {
            let block = block(&code, at)?;
            let owner = owner(&code[at..block.start]);
            Some((block, owner))
        })
        .collect();
    let names = imported_paths(source).into_iter().filter_map(|path| {
        let [.., module, name] = path.as_slice() else {
            return None;
        };
        Some((name.clone(), module.clone()))
    });
    let imports: Rc<BTreeMap<_, _>> = Rc::new(names.collect());
    let function = |at: usize, keyword: &str, range: Range<usize>| {
        let name = code[at + keyword.len()..].trim_start();
        let name = name.chars().take_while(|c| is_word(*c)).collect();
        let owner = impls.iter().find(|(block, _)| block.contains(&at));
        // The text still has the strings that are blank in the code.
        let text = source.program()[range.clone()].lines();
        let lines = text.filter(|line| !line.trim_start().starts_with("//"));
        let words: Vec<_> = code[at..range.end].split_whitespace().collect();
        Function {
            path: source.path.clone(),
            owner: owner.map(|(_, owner)| owner.clone()),
            name,
            body: lines.flat_map(str::split_whitespace).collect(),
            code: words.join(" "),
            imports: imports.clone(),
        }
    };
    let functions = starts(&code, "fn").filter_map(|at| Some((at, "fn", block(&code, at)?)));
    let constants = ["const", "static"].into_iter().flat_map(|keyword| {
        let code = &code;
        starts(code, keyword).filter_map(move |at| {
            let end = code[at..].find(';')?;
            let is_function = code[at..].starts_with("const fn");
            (!is_function).then_some((at, keyword, at..at + value_end(&code[at..], end)))
        })
    });
    functions
        .chain(constants)
        .map(|(at, keyword, range)| function(at, keyword, range))
        .collect()
}

/// The end of the value of a constant: the first semicolon outside of brackets.
fn value_end(code: &str, otherwise: usize) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ';' if depth == 0 => return at,
            _ => {}
        }
    }
    otherwise
}

/// The block in braces that follows `at`; `None` for a declaration without one.
fn block(code: &str, at: usize) -> Option<Range<usize>> {
    let rest = &code[at..];
    let mut depth = 0;
    let mut open = None;
    for (offset, c) in rest.char_indices() {
        match c {
            ';' if depth == 0 => return None,
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' => {
                open = open.or((depth == 0).then_some(offset));
                depth += 1;
            }
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + open?..at + offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// A function that can be called, and how.
pub struct Reached<'f> {
    pub function: &'f Function,
    /// The names of its callers, the nearest one first.
    pub callers: Vec<String>,
}

/// The functions that the code in `folder` can call, itself included.
pub fn reachable<'p>(program: &'p Program, folder: &str) -> Vec<Reached<'p>> {
    let all = &program.functions;
    // The caller of each reached function; itself for the code in `folder`.
    let mut reached: BTreeMap<usize, usize> = BTreeMap::new();
    let (mut types, mut calls) = (BTreeSet::new(), BTreeMap::new());
    let roots = all.iter().enumerate();
    let roots = roots.filter(|(_, function)| function.path.starts_with(folder));
    let mut waiting: Vec<(usize, usize)> = roots.map(|(n, _)| (n, n)).collect();
    while !waiting.is_empty() {
        for (n, caller) in std::mem::take(&mut waiting) {
            reached.insert(n, caller);
            let names = identifiers(&all[n].code).map(|(_, name)| name.to_owned());
            types.extend(names.filter(|name| is_type(name)));
            types.extend(all[n].owner.clone());
            for (name, receiver) in calls_in(&all[n]) {
                let receivers: &mut BTreeMap<_, _> = calls.entry(name).or_default();
                receivers.entry(receiver).or_insert(n);
            }
        }
        for (n, function) in all.iter().enumerate() {
            if reached.contains_key(&n) {
                continue;
            }
            let receivers = calls.get(&function.name).into_iter().flatten();
            let mut calling = receivers.filter(|(receiver, _)| {
                let receiver: &Receiver = receiver;
                receiver.reaches(function, &types, &program.declared)
            });
            waiting.extend(calling.next().map(|(_, caller)| (n, *caller)));
        }
    }
    let callers = |mut n: usize| {
        let mut names = vec![];
        while reached[&n] != n {
            n = reached[&n];
            names.push(all[n].to_string());
        }
        names
    };
    let functions = reached.keys().map(|n| Reached {
        function: &all[*n],
        callers: callers(*n),
    });
    functions.collect()
}

impl std::fmt::Display for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.path, self.name)
    }
}

/// What is before a name that is called.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Receiver {
    /// `value.name()`, of a value that is not `self`.
    Value(String),
    /// `Type::name`, or `self.name()` in a method of the type.
    Type(String),
    /// `module::name`, where the module may re-export it from one in its folder.
    Module(String),
    /// `name` of the same file.
    File(String),
}

impl Receiver {
    /// Whether the call can be one of `function`, which has the name that is called.
    fn reaches(
        &self,
        function: &Function,
        types: &BTreeSet<String>,
        declared: &Declarations,
    ) -> bool {
        let path = &function.path;
        match (self, &function.owner) {
            (Receiver::Value(value), Some(owner)) => {
                types.contains(owner) && declared.fits(value, owner)
            }
            (Receiver::Type(named), Some(owner)) => named == owner,
            (Receiver::Module(module), None) => {
                path.ends_with(&format!("/{module}.rs")) || path.contains(&format!("/{module}/"))
            }
            (Receiver::File(file), None) => file == path,
            _ => false,
        }
    }
}

/// The calls in a function, the functions that it passes by name, and the constants that it names.
fn calls_in(function: &Function) -> Vec<(String, Receiver)> {
    let code = &function.code;
    let mut calls = vec![];
    let mut at = 0;
    for part in code.split_inclusive(|c| !is_word(c)) {
        let name = part.trim_end_matches(|c| !is_word(c));
        let before = code[..at].trim_end();
        let after = code[at + name.len()..].trim_start();
        at += part.len();
        if name.is_empty() || is_type(name) {
            continue;
        }
        let Some(receiver) = receiver(function, name, before) else {
            continue;
        };
        let is_value = matches!(receiver, Receiver::Value(_));
        if !is_value || after.starts_with('(') || after.starts_with("::<") {
            calls.push((name.to_owned(), receiver));
        }
    }
    calls
}

/// What is before a name; `None` for the result of a call.
fn receiver(function: &Function, name: &str, before: &str) -> Option<Receiver> {
    let own = || function.owner.clone().unwrap_or_default();
    let last_word = |text: &str| {
        let word = text.trim_end().rsplit(|c| !is_word(c)).next();
        word.unwrap_or_default().to_owned()
    };
    if let Some(value) = before.strip_suffix('.') {
        return match last_word(value).as_str() {
            "" | "await" => None,
            "self" => Some(Receiver::Type(own())),
            value => Some(Receiver::Value(value.to_owned())),
        };
    }
    if let Some(path) = before.strip_suffix("::") {
        return Some(match last_word(path).as_str() {
            "Self" => Receiver::Type(own()),
            last if is_type(last) => Receiver::Type(last.to_owned()),
            last => Receiver::Module(last.to_owned()),
        });
    }
    Some(match function.imports.get(name) {
        Some(module) => Receiver::Module(module.clone()),
        None => Receiver::File(function.path.clone()),
    })
}

#[test]
fn methods_of_unnamed_types_are_not_reached() {
    let source = |path: &str, text: &str| Source {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let program = Program::read(
        &[
            source(
                "a/lib.rs",
                "use b::other::help;\nfn start(store: &Store) { store.read(); help(LIST); }\nconst LIST: [u8; 1] = [1];",
            ),
            source(
                "b/store.rs",
                "impl Store { fn read(&self) { self.inner() } fn inner(&self) {} }",
            ),
            source(
                "b/other.rs",
                "impl<T> Client for Other<T> { fn read(&self) {} }\npub fn help(n: [u8; 1]) {}",
            ),
            source("b/more.rs", "fn help() {}"),
        ],
        &[],
    );
    let reached = reachable(&program, "a/").into_iter();
    let names: Vec<_> = reached
        .map(|reached| reached.function.to_string())
        .collect();
    assert_eq!(
        names,
        [
            "a/lib.rs:start",
            "a/lib.rs:LIST",
            "b/store.rs:read",
            "b/store.rs:inner",
            "b/other.rs:help"
        ]
    );
}
