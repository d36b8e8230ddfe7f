//! The types that a program declares for its values, and the types that implement its traits.

use std::collections::{BTreeMap, BTreeSet};

use super::rust_source::{Source, is_type, is_word, lex, starts};

/// The types of values, and the traits of types.
pub struct Declarations {
    /// The types in `name: Type` and `Parameter: Trait`, by name.
    types: BTreeMap<String, BTreeSet<String>>,
    /// The types that implement a trait.
    implementors: BTreeMap<String, BTreeSet<String>>,
}

impl Declarations {
    pub fn read(sources: &[Source]) -> Self {
        let mut all = Self {
            types: BTreeMap::new(),
            implementors: BTreeMap::new(),
        };
        for source in sources {
            let code = lex(source.program()).code;
            all.add_annotations(&code.replace("::", " "));
            all.add_bindings(&code);
            all.add_implementors(&code);
        }
        all
    }

    /// `name: Type`, of fields, parameters and generic parameters.
    fn add_annotations(&mut self, code: &str) {
        for (at, _) in code.match_indices(": ") {
            let name = code[..at].rsplit(|c| !is_word(c)).next();
            let end = |c| matches!(c, ',' | ';' | '=' | '(' | ')' | '{' | '}' | '|');
            let named = code[at + 2..].split(end).next().map(words);
            let named = named.unwrap_or_default().into_iter();
            let types = self.types.entry(name.unwrap_or_default().to_owned());
            let is_type = |word: &String| word.starts_with(char::is_uppercase);
            types.or_default().extend(named.filter(is_type));
        }
    }

    /// `let name = Type::new()`, also with several names.
    fn add_bindings(&mut self, code: &str) {
        for at in starts(code, "let") {
            let statement = code[at..].split(';').next().unwrap_or_default();
            let Some((pattern, value)) = statement.split_once(" = ") else {
                continue;
            };
            for name in words(pattern).into_iter().filter(|name| !is_type(name)) {
                let named = words(value).into_iter().filter(|word| is_type(word));
                self.types.entry(name).or_default().extend(named);
            }
        }
    }

    /// `impl Trait for Type`.
    fn add_implementors(&mut self, code: &str) {
        for at in starts(code, "impl") {
            let header = code[at..].split('{').next().unwrap_or_default();
            if let Some((before, _)) = header.split_once(" for ") {
                let types = self.implementors.entry(owner(before)).or_default();
                types.insert(owner(header));
            }
        }
    }

    /// Whether a value of this name can have the type `owner`.
    pub fn fits(&self, value: &str, owner: &str) -> bool {
        let types = self.types.get(value).into_iter().flatten();
        types.into_iter().any(|named| {
            // A parameter of a generic type has the types that implement its traits.
            let bounds = self.types.get(named).into_iter().flatten();
            let mut traits = bounds.chain([named]);
            let implements = |name: &String| {
                let types = self.implementors.get(name);
                types.is_some_and(|types| types.contains(owner))
            };
            named == owner || traits.any(implements)
        })
    }
}

/// The type in `impl<T> Trait for Type<T> where ...`.
pub fn owner(header: &str) -> String {
    let words: Vec<_> = header.split_whitespace().collect();
    let header = words.join(" ");
    let header = header.split(" where ").next().unwrap_or_default();
    let named = match header.rsplit_once(" for ") {
        Some((_, named)) => named,
        None => {
            let named = header.trim_start_matches("impl");
            // The parameters of the block come before the type.
            let parameters = named.starts_with('<').then(|| named.find("> "));
            parameters.flatten().map_or(named, |end| &named[end + 2..])
        }
    };
    let path = named
        .trim()
        .split(['<', ' ', '{'])
        .next()
        .unwrap_or_default();
    path.rsplit("::").next().unwrap_or_default().to_owned()
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c| !is_word(c)).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}
