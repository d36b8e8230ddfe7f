//! The contract, shared/openapi.yaml: every response of the functions is validated against it,
//! whatever a test asserts.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};

/// The document.
pub struct Contract {
    document: Value,
    /// Built once for each schema, because that takes longer than most tests.
    validators: Mutex<HashMap<String, Arc<jsonschema::Validator>>>,
}

/// The document in this repository.
pub static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let document = serde_norway::from_str(include_str!("../../shared/openapi.yaml"))
        .expect("openapi.yaml is YAML");
    Contract {
        document,
        validators: Mutex::default(),
    }
});

impl Contract {
    /// Panics unless the document lists `path`, `method` and `status`, the body matches its schema
    /// and the required headers are present. The response to a path that is not in the document
    /// must be a 404 problem.
    pub fn validate_response(
        &self,
        method: &str,
        path: &str,
        status: u16,
        headers: &hyper::HeaderMap,
        body: &[u8],
    ) {
        let request = format!(
            "{method} {path} -> {status} {}",
            String::from_utf8_lossy(body)
        );
        assert_eq!(
            headers.get("cache-control").map(|v| v.as_bytes()),
            Some(&b"no-store"[..]),
            "{request}: Cache-Control"
        );
        assert!(headers.contains_key("request-id"), "{request}: Request-Id");
        if method == "HEAD" {
            assert!(body.is_empty(), "{request}: a body");
        } else if status >= 400 {
            self.assert_problem_envelope(status, headers, body, &request);
        }
        let path = path.split('?').next().unwrap_or_default();
        let Some((template, item)) = self.path_item(path) else {
            assert_eq!(status, 404, "{request}: the path is not documented");
            return;
        };
        let Some(operation) = item.get(method.to_ascii_lowercase()) else {
            assert_eq!(status, 405, "{request}: the method is not documented");
            return;
        };
        let response = operation["responses"]
            .get(status.to_string())
            .unwrap_or_else(|| panic!("{request}: not documented for {template}"));
        let response = self.resolve(response);
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let required = self.resolve(header)["required"].as_bool().unwrap_or(false);
            assert!(
                !required || headers.contains_key(name.as_str()),
                "{request}: header {name}"
            );
        }
        for (media_type, content) in response["content"].as_object().into_iter().flatten() {
            let is_sent = headers
                .get("content-type")
                .and_then(|v| v.to_str().ok())
                .is_some_and(|t| t.starts_with(media_type.as_str()));
            assert!(is_sent, "{request}: Content-Type should be {media_type}");
            if media_type.contains("json") {
                self.assert_matches(&content["schema"], body, &request);
            }
        }
    }

    /// Asserts what all problem documents have in common.
    fn assert_problem_envelope(
        &self,
        status: u16,
        headers: &hyper::HeaderMap,
        body: &[u8],
        request: &str,
    ) {
        let problem = self.document["components"]["schemas"].get("Problem");
        let problem_type = headers.get("content-type").map(|v| v.as_bytes());
        assert_eq!(
            problem_type,
            Some(&b"application/problem+json"[..]),
            "{request}: Content-Type"
        );
        let body: Value = serde_json::from_slice(body).expect("a problem is JSON");
        let request_id = headers.get("request-id").and_then(|v| v.to_str().ok());
        assert_eq!(
            body["request_id"].as_str(),
            request_id,
            "{request}: request_id"
        );
        assert_eq!(body["status"], status, "{request}: status");
        assert!(problem.is_some(), "the document has a Problem schema");
    }

    /// Whether `body` matches the schema called `name`.
    pub fn accepts(&self, name: &str, body: &Value) -> bool {
        self.validator(&json!({"$ref": format!("#/components/schemas/{name}")}))
            .is_valid(body)
    }

    fn assert_matches(&self, schema: &Value, body: &[u8], request: &str) {
        let body: Value =
            serde_json::from_slice(body).unwrap_or_else(|error| panic!("{request}: {error}"));
        let validator = self.validator(schema);
        let errors: Vec<String> = validator
            .iter_errors(&body)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{request}: {errors:?}");
    }

    fn validator(&self, schema: &Value) -> Arc<jsonschema::Validator> {
        let mut validators = self
            .validators
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let validator = validators.entry(schema.to_string()).or_insert_with(|| {
            // The document itself is the root, so that its references resolve.
            let mut root = self.document.clone();
            root["allOf"] = json!([schema]);
            Arc::new(
                jsonschema::draft202012::new(&root).expect("the schemas of the document are valid"),
            )
        });
        validator.clone()
    }

    fn path_item(&self, path: &str) -> Option<(&String, &Value)> {
        let paths = self.document["paths"].as_object()?;
        let exact = paths.iter().find(|(template, _)| *template == path);
        let matches = |template: &str| {
            template.split('/').count() == path.split('/').count()
                && template
                    .split('/')
                    .zip(path.split('/'))
                    .all(|(t, p)| t == p || (t.starts_with('{') && !p.is_empty()))
        };
        exact.or_else(|| paths.iter().find(|(template, _)| matches(template)))
    }

    fn resolve<'d>(&'d self, value: &'d Value) -> &'d Value {
        match value["$ref"]
            .as_str()
            .and_then(|reference| self.document.pointer(reference.trim_start_matches('#')))
        {
            Some(target) => self.resolve(target),
            None => value,
        }
    }
}
