//! The documentation against what it describes: variables, alarms, error codes, limits and routes
//! are all documented, defaults are those of `template.yaml`, and links lead to a heading that
//! exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use otp::api::problem::ErrorCode;
use otp::domain::rate_limit::Limit;
use serde_norway::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_norway::from_str(&text(path)).expect("YAML")
}

/// The value behind a tag such as `!Ref`.
fn untagged(value: &Value) -> &Value {
    match value {
        Value::Tagged(tagged) => &tagged.value,
        value => value,
    }
}

/// Cells of the rows of all tables of a page.
fn rows(page: &str) -> Vec<Vec<String>> {
    let is_row = |line: &&str| line.starts_with('|') && !line.starts_with("|-");
    let cells = |line: &str| {
        let inner = line.trim_matches('|');
        inner
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    page.lines().filter(is_row).map(cells).collect()
}

/// Words in backquotes.
fn code_words(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Variables whose name begins with `OTP_`: name and default, where a parameter gives one.
fn template_variables(template: &Value) -> Vec<(String, Option<String>)> {
    let resources = template["Resources"].as_mapping().expect("resources");
    let functions = resources.values().map(|resource| &resource["Properties"]);
    let environments = std::iter::once(&template["Globals"]["Function"]).chain(functions);
    let default_of = |value: &Value| {
        let parameter = &template["Parameters"][untagged(value).as_str()?];
        match parameter.get("Default")? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    };
    environments
        .filter_map(|properties| properties["Environment"]["Variables"].as_mapping())
        .flatten()
        .map(|(name, value)| {
            (
                name.as_str().unwrap_or_default().to_owned(),
                default_of(value),
            )
        })
        .filter(|(name, _)| name.starts_with("OTP_"))
        .collect()
}

#[test]
fn every_variable_is_documented_with_its_default() {
    let rows = rows(&text("docs/configuration.md"));
    let variables = template_variables(&yaml("template.yaml"));
    assert!(variables.len() > 25, "{variables:?}");
    for (name, default) in &variables {
        let row = rows.iter().find(|row| row[0] == format!("`{name}`"));
        let row = row.unwrap_or_else(|| panic!("docs/configuration.md has no row for {name}"));
        if let Some(default) = default {
            assert_eq!(row[1].trim_matches('`'), default, "default of {name}");
        }
    }
    for row in rows.iter().filter(|row| row[0].starts_with("`OTP_")) {
        let name = row[0].trim_matches('`');
        assert!(
            variables.iter().any(|(known, _)| known == name),
            "template.yaml does not set {name}"
        );
    }
}

#[test]
fn every_alarm_is_documented() {
    let template = yaml("template.yaml");
    let resources = template["Resources"].as_mapping().expect("resources");
    let alarms: BTreeSet<_> = resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm")
        .filter_map(|(name, _)| name.as_str())
        .collect();
    let page = text("docs/operations.md");
    let rows = rows(&page);
    let documented: BTreeSet<_> = rows
        .iter()
        .map(|row| row[0].trim_matches('`'))
        .filter(|name| name.ends_with("Alarm"))
        .collect();
    assert_eq!(documented, alarms);
}

#[test]
fn every_error_and_limit_is_documented() {
    let page = text("docs/api.md");
    let rows = rows(&page);
    let problem = &yaml("shared/openapi.yaml")["components"]["schemas"]["Problem"];
    let errors = problem["oneOf"].as_sequence().expect("errors");
    assert!(errors.len() > 15);
    for error in errors {
        let constant = |name: &str| &error["properties"][name]["const"];
        let status = constant("status").as_u64().expect("a status").to_string();
        let code = constant("code").as_str().expect("a code");
        assert!(
            rows.iter()
                .any(|row| row[0] == status && code_words(&row[1]).any(|word| word == code)),
            "docs/api.md has no row for {status} {code}"
        );
    }
    for limit in problem["properties"]["limit"]["enum"]
        .as_sequence()
        .expect("limits")
    {
        let limit = limit.as_str().expect("a limit");
        assert!(
            rows.iter()
                .any(|row| code_words(&row[0]).any(|word| word == limit)),
            "docs/api.md has no row for the limit {limit}"
        );
    }
}

/// Other dialects have a table of all errors and limits, which these lists complete.
#[test]
fn every_error_and_limit_is_listed() {
    let problem = &yaml("shared/openapi.yaml")["components"]["schemas"]["Problem"];
    let errors = problem["oneOf"].as_sequence().expect("errors").iter();
    let documented: BTreeSet<_> = errors
        .filter_map(|error| error["properties"]["code"]["const"].as_str())
        .collect();
    assert_eq!(documented, ErrorCode::ALL.map(ErrorCode::name).into());
    let limits = problem["properties"]["limit"]["enum"].as_sequence();
    let documented: BTreeSet<_> = limits
        .expect("limits")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(documented, Limit::ALL.map(Limit::name).into());
}

#[test]
fn every_route_is_documented() {
    let document = yaml("shared/openapi.yaml");
    for page in ["README.md", "docs/api.md"] {
        let page = text(page);
        for path in document["paths"].as_mapping().expect("paths").keys() {
            let path = path.as_str().expect("a path");
            assert!(page.contains(&format!("{path}`")), "{path}");
        }
    }
}

#[test]
fn every_command_is_documented() {
    let pages = ["docs/operations.md", "docs/local.md"].map(text);
    let rows: Vec<_> = pages.iter().flat_map(|page| rows(page)).collect();
    let is_documented = |first: &str, second: &str| {
        rows.iter().any(|row| {
            let mut words =
                code_words(&row[0]).map(|words| words.trim_start_matches("lambda-otp "));
            let is_first = words.next().is_some_and(|word| word.starts_with(first));
            let all = format!("{first} {second}");
            let has_second = code_words(&row[0]).any(|words| {
                words.split(' ').next() == Some(second) || words.starts_with(all.trim_end())
            });
            is_first && (second.is_empty() || has_second)
                || code_words(&row[0]).any(|words| words == first && second.is_empty())
        })
    };
    let command = local::cli::command();
    let mut count = 0;
    for command in command.get_subcommands() {
        let (first, subcommands) = (command.get_name(), command.get_subcommands());
        let seconds: Vec<&str> = subcommands.map(|command| command.get_name()).collect();
        let seconds = if seconds.is_empty() {
            vec![""]
        } else {
            seconds
        };
        for second in seconds {
            count += 1;
            assert!(is_documented(first, second), "{first} {second}");
        }
    }
    assert!(count > 30, "{count} commands");
}

/// All Markdown pages, from the root.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![];
    for directory in ["", "docs", "examples", "tests"] {
        let entries = std::fs::read_dir(root().join(directory)).expect("a directory");
        let paths =
            entries.map(|entry| Path::new(directory).join(entry.expect("entry").file_name()));
        pages.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    pages
}

/// The anchors that GitHub gives to the headings of a page.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        kept.chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_to_an_existing_heading() {
    let mut links = 0;
    for page in pages() {
        let content = text(&page.to_string_lossy());
        for target in content
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if target.starts_with("http") {
                continue;
            }
            links += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let linked = match path {
                "" => root().join(&page),
                path => root().join(&page).with_file_name("").join(path),
            };
            assert!(linked.exists(), "{}: {target}", page.display());
            if !anchor.is_empty() {
                let linked = std::fs::read_to_string(linked).expect("a page");
                assert!(
                    anchors(&linked).contains(anchor),
                    "{}: {target}",
                    page.display()
                );
            }
        }
    }
    assert!(links > 50, "{links}");
}
