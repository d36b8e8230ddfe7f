//! The page of `GET /`: one document without a build step, assembled from the files in this folder.

use serde_json::{Value, json};

const HTML: &str = include_str!("page.html");
const STYLE: &str = concat!(
    include_str!("style/base.css"),
    include_str!("style/forms.css"),
    include_str!("style/phones.css"),
    include_str!("style/controls.css"),
    include_str!("style/subject.css"),
    include_str!("style/metrics.css"),
);
/// One script, in this order: a file uses names of the files before it while it is evaluated, and
/// of all files later.
const SCRIPT: &str = concat!(
    include_str!("script/dom.js"),
    include_str!("script/request.js"),
    include_str!("script/saved.js"),
    include_str!("script/clock.js"),
    include_str!("script/verification.js"),
    include_str!("script/messages.js"),
    include_str!("script/phones.js"),
    include_str!("script/carriers.js"),
    include_str!("script/authenticator.js"),
    include_str!("script/subject.js"),
    include_str!("script/factors.js"),
    include_str!("script/decisions.js"),
    include_str!("script/metrics.js"),
    include_str!("script/stored_items.js"),
    include_str!("script/main.js"),
);

/// The page, with the API keys that its requests use: app and key.
pub(crate) fn render(api_keys: &[(String, String)]) -> String {
    let keys: Value = api_keys
        .iter()
        .map(|(app, key)| json!({"app": app, "key": key}))
        .collect();
    HTML.replace("{{style}}", STYLE)
        .replace("{{script}}", SCRIPT)
        .replace("{{api_keys}}", &keys.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// +1 202 555 01xx is reserved for fiction, and `example.com` for documentation.
    #[test]
    fn example_recipients_are_reserved() {
        let page = render(&[]);
        let numbers = page.split("\"+").skip(1);
        let numbers: Vec<&str> = numbers
            .filter_map(|rest| rest.split('"').next())
            .filter(|number| number.len() > 6 && number.bytes().all(|b| b.is_ascii_digit()))
            .collect();
        assert_eq!(numbers.len(), 3, "{numbers:?}");
        assert!(numbers.iter().all(|number| number.starts_with("120255501")));
        let addresses = page.matches("@example.com").count();
        assert_eq!(page.matches("ada@").count(), addresses);
    }

    /// The values of `attribute` in the page.
    fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
        let start = format!(" {attribute}=\"");
        let values = page.split(start.as_str()).skip(1);
        values.filter_map(|rest| rest.split('"').next()).collect()
    }

    #[test]
    fn each_id_is_there_once() {
        let mut ids = values(HTML, "id");
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }

    #[test]
    fn script_uses_only_ids_of_the_page() {
        let ids = values(HTML, "id");
        let used = SCRIPT.split("byId(\"").skip(1);
        let unknown = used.filter_map(|rest| rest.split_once("\")"));
        let unknown: Vec<_> = unknown.filter(|(id, _)| !ids.contains(id)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(ids.contains(&"subject-form"));
    }

    #[test]
    fn each_field_has_a_label() {
        let labels = values(HTML, "for");
        let fields = HTML.split('<').filter(|tag| {
            (tag.starts_with("input ") && !tag.contains("type=\"radio\""))
                || tag.starts_with("select ")
        });
        for field in fields {
            let id = values(field, "id");
            // A tick has its label around it.
            let has_label = id.iter().all(|id| labels.contains(id));
            assert!(has_label || field.contains("type=\"checkbox\""), "{field}");
        }
        for label in labels {
            assert!(values(HTML, "id").contains(&label), "{label}");
        }
    }

    #[test]
    fn page_contains_style_script_and_keys() {
        let page = render(&[("default".to_owned(), "otp_test_0123456789".to_owned())]);
        assert!(!page.contains("{{"), "each placeholder is replaced");
        assert!(page.contains(r#"[{"app":"default","key":"otp_test_0123456789"}]"#));
    }
}
