//! The repository's files, and Rust sources split into code, comments and strings.

use std::path::{Path, PathBuf};

/// Folders that are not part of the repository.
const SKIPPED: [&str; 5] = ["target", ".git", ".aws-sam", "node_modules", "__pycache__"];

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The content of a file, by its path from the root.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The paths of all files under `directory`, from the root, sorted.
pub fn files(directory: &str) -> Vec<String> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        let entries = std::fs::read_dir(directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        for entry in entries {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| SKIPPED.contains(&name)) {
                continue;
            }
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = vec![];
    walk(&root().join(directory), &mut found);
    let path = |path: PathBuf| {
        let path = path.strip_prefix(root()).expect("under the root");
        path.to_string_lossy().trim_start_matches("./").to_owned()
    };
    let mut paths: Vec<_> = found.into_iter().map(path).collect();
    paths.sort();
    paths
}

/// All Rust sources under `directory`.
pub fn sources(directory: &str) -> Vec<Source> {
    let paths = files(directory).into_iter();
    let paths = paths.filter(|path| path.ends_with(".rs"));
    paths.map(Source::read).collect()
}

/// The sources that are deployed or run: no tests, no examples.
pub fn program_sources() -> Vec<Source> {
    ["shared/src", "functions", "local/src"]
        .into_iter()
        .flat_map(sources)
        .collect()
}

/// The roots of the crates of the program: the folders of `lib.rs` and `main.rs`.
pub fn source_roots() -> Vec<String> {
    let mut roots = vec!["shared/src".to_owned(), "local/src".to_owned()];
    roots.extend(
        functions()
            .iter()
            .map(|name| format!("functions/{name}/src")),
    );
    roots
}

/// The names of the folders in `functions`.
pub fn functions() -> Vec<String> {
    let manifests = files("functions").into_iter();
    manifests
        .filter_map(|path| {
            let name = path.strip_prefix("functions/")?;
            name.strip_suffix("/Cargo.toml").map(str::to_owned)
        })
        .collect()
}

/// A Rust source.
pub struct Source {
    /// From the root of the repository.
    pub path: String,
    pub text: String,
}

/// A part of a source: its first line, counted from 1, and its text.
pub struct Part {
    pub line: usize,
    pub text: String,
}

/// A source split by its lexical structure.
#[derive(Default)]
pub struct Lexed {
    /// The source with blanks in place of comments and of the content of strings and characters.
    pub code: String,
    pub comments: Vec<Part>,
    pub strings: Vec<Part>,
}

impl Source {
    pub fn read(path: String) -> Self {
        let text = read(&path);
        Self { path, text }
    }

    /// The source without the unit tests at its end.
    pub fn program(&self) -> &str {
        const TESTS: &str = "\n#[cfg(test)]\n";
        let is_block = |at: &usize| {
            let line = self.text[at + TESTS.len()..].lines().next();
            line.is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
        };
        let mut starts = self.text.match_indices(TESTS).map(|(at, _)| at);
        let tests = starts.find(is_block);
        &self.text[..tests.map_or(self.text.len(), |at| at + 1)]
    }

    /// Whether the code of the program contains `name` as a word or a path.
    pub fn names(&self, name: &str) -> bool {
        contains_word(&lex(self.program()).code, name)
    }
}

/// Whether `code` contains `name`, and not as a part of a longer name.
pub fn contains_word(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back().is_none_or(|c| !is_word(c));
        let after = code[at + name.len()..].chars().next();
        before && after.is_none_or(|c| !is_word(c))
    })
}

/// All identifiers of `code` with their lines, counted from 1.
pub fn identifiers(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.lines().enumerate().flat_map(move |(n, line)| {
        let words = line.split(move |c| !is_word(c));
        words
            .filter(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_'))
            .map(move |word| (n + 1, word))
    })
}

/// The places of a keyword in `code`.
pub fn starts<'c>(code: &'c str, keyword: &'c str) -> impl Iterator<Item = usize> + 'c {
    let found = code.match_indices(keyword).map(|(at, _)| at);
    found.filter(move |at| {
        let before = code[..*at].chars().next_back();
        let after = code[at + keyword.len()..].chars().next();
        !before.is_some_and(|c| is_word(c) || matches!(c, '(' | '*' | '\''))
            && after.is_some_and(|c| c == ' ' || c == '<')
    })
}

/// Whether `c` can be in an identifier.
pub fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether `name` is written like a type: `CamelCase`.
pub fn is_type(name: &str) -> bool {
    name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase)
}

/// Splits a source. Understands line and block comments, plain and raw strings, bytes, characters
/// and lifetimes.
pub fn lex(text: &str) -> Lexed {
    let mut lexed = Lexed::default();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (kind, length) = token(rest);
        let (part, after) = rest.split_at(length.max(first.len_utf8()));
        // As long as the text, so that places in the code are places in the text.
        let blank = |text: &str| -> String {
            let blank = |c: char| {
                if c == '\n' {
                    "\n".into()
                } else {
                    " ".repeat(c.len_utf8())
                }
            };
            text.chars().map(blank).collect()
        };
        match kind {
            Kind::Code => lexed.code.push_str(part),
            Kind::Comment => {
                lexed.code.push_str(&blank(part));
                let text = part.to_owned();
                lexed.comments.push(Part { line, text });
            }
            Kind::String(open, close) => {
                let content = &part[open..part.len() - close];
                lexed.code.push_str(&part[..open]);
                lexed.code.push_str(&blank(content));
                lexed.code.push_str(&part[part.len() - close..]);
                let text = content.to_owned();
                lexed.strings.push(Part { line, text });
            }
        }
        line += part.matches('\n').count();
        rest = after;
    }
    lexed
}

enum Kind {
    Code,
    Comment,
    /// With the lengths of the delimiters.
    String(usize, usize),
}

/// The kind and the length of the token at the start of `rest`.
fn token(rest: &str) -> (Kind, usize) {
    let bytes = rest.as_bytes();
    if rest.starts_with("//") {
        return (Kind::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        let end = rest.find("*/").map_or(rest.len(), |at| at + 2);
        return (Kind::Comment, end);
    }
    let word = rest
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(rest.len());
    let after = &rest[word..];
    if matches!(&rest[..word], "" | "b" | "c") && after.starts_with('"') {
        let end = string_end(after, '"');
        return (Kind::String(word + 1, 1), word + end);
    }
    let hashes = after.bytes().take_while(|b| *b == b'#').count();
    if matches!(&rest[..word], "r" | "br" | "cr") && after[hashes..].starts_with('"') {
        let close = format!("\"{}", "#".repeat(hashes));
        let open = word + hashes + 1;
        let end = rest[open..].find(&close);
        let end = end.map_or(rest.len(), |at| open + at + close.len());
        return (Kind::String(open, close.len()), end);
    }
    let is_char = bytes.first() == Some(&b'\'') && {
        let second = rest[1..].chars().next();
        second == Some('\\') || second.is_some_and(|c| rest[1 + c.len_utf8()..].starts_with('\''))
    };
    if is_char {
        return (Kind::String(1, 1), string_end(rest, '\''));
    }
    (Kind::Code, word.max(1))
}

/// The length of a quoted text with escapes, from its first quote to its last.
fn string_end(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn lexer_separates_code_comments_and_strings() {
    let text = "let a = \"x // y\"; // z \"q\"\nlet b = 'c'; fn f<'a>() {} let r = r#\"\"w\"\"#; /* v */\n";
    let lexed = lex(text);
    let texts =
        |parts: &[Part]| -> Vec<String> { parts.iter().map(|part| part.text.clone()).collect() };
    assert_eq!(texts(&lexed.comments), ["// z \"q\"", "/* v */"]);
    assert_eq!(texts(&lexed.strings), ["x // y", "c", "\"w\""]);
    assert!(lexed.code.contains("fn f<'a>() {}") && !lexed.code.contains('x'));
    assert_eq!(lexed.code.lines().count(), text.lines().count());
}
