//! The API document in a plain form, for people and for generators of clients.
//!
//! `openapi.yaml` is strict, for the tests: it says which combinations of values exist, and has a
//! pattern for each text. Generators turn such schemas into code that does not compile or that
//! rejects what a later version adds. The plain form keeps types, fields, bounds of numbers and
//! descriptions, in constructs that every generator knows.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The strict form.
const OPENAPI: &str = include_str!("../../shared/openapi.yaml");

/// What stays of a schema.
const KEPT: [&str; 11] = [
    "description",
    "type",
    "format",
    "enum",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "required",
];
const SCHEMA_PATH: &str = "#/components/schemas/";
/// A request body whose schema means nothing: a carrier's report.
const ANY_MEDIA_TYPE: &str = "*/*";

/// Where a schema is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// `null` is the same as an absent field, so only the latter is shown.
    Request,
    /// A value that is added later must not break a client: only named types are enumerations.
    Response,
}

/// The strict form.
///
/// # Errors
/// It is not YAML.
pub(crate) fn api_document() -> Result<Value, serde_norway::Error> {
    serde_norway::from_str(OPENAPI)
}

/// The plain form of `document`.
pub(crate) fn plain(document: &Value) -> Value {
    let empty = Map::new();
    let strict = Strict {
        schemas: document["components"]["schemas"]
            .as_object()
            .unwrap_or(&empty),
    };
    let mut plain = strict.node(document);
    let requests = request_names(&document["paths"]);
    let components = strict.schemas.iter();
    let components: Map<String, Value> = components
        .filter(|(_, schema)| is_component(schema))
        .map(|(name, schema)| {
            let place = match requests.contains(name) {
                true => Use::Request,
                false => Use::Response,
            };
            (name.clone(), strict.component(schema, place))
        })
        .collect();
    plain["components"]["schemas"] = components.into();
    drop_unused(&mut plain);
    plain
}

/// Removes the schemas to which nothing refers: those that are written out wherever they are used.
fn drop_unused(plain: &mut Value) {
    loop {
        let mut used = BTreeSet::new();
        add_references(plain, &mut used);
        let Some(schemas) = plain["components"]["schemas"].as_object_mut() else {
            return;
        };
        let before = schemas.len();
        schemas.retain(|name, _| used.contains(name));
        if schemas.len() == before {
            return;
        }
    }
}

/// Adds the names of the schemas to which `node` refers.
fn add_references(node: &Value, used: &mut BTreeSet<String>) {
    match node {
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str);
            used.extend(
                reference
                    .and_then(|reference| reference.strip_prefix(SCHEMA_PATH))
                    .map(str::to_owned),
            );
            members
                .values()
                .for_each(|member| add_references(member, used));
        }
        Value::Array(nodes) => nodes.iter().for_each(|node| add_references(node, used)),
        _ => {}
    }
}

/// Whether a schema is a type of its own in the plain form: an object or an enumeration. Others are
/// written out where they are used.
fn is_component(schema: &Value) -> bool {
    schema["type"] == "object" || (schema["type"] == "string" && !schema["enum"].is_null())
}

/// Names of the schemas of request bodies.
fn request_names(paths: &Value) -> BTreeSet<String> {
    let operations = paths.as_object().into_iter().flat_map(Map::values);
    let operations = operations
        .filter_map(Value::as_object)
        .flat_map(Map::values);
    operations
        .filter_map(|operation| {
            let body = &operation["requestBody"]["content"]["application/json"];
            Some(
                body["schema"]["$ref"]
                    .as_str()?
                    .strip_prefix(SCHEMA_PATH)?
                    .to_owned(),
            )
        })
        .collect()
}

/// The strict document's schemas.
struct Strict<'d> {
    schemas: &'d Map<String, Value>,
}

impl Strict<'_> {
    /// Everything outside schemas stays, with plain schemas.
    fn node(&self, node: &Value) -> Value {
        match node {
            Value::Array(nodes) => nodes.iter().map(|node| self.node(node)).collect(),
            Value::Object(members) => members
                .iter()
                .filter(|(_, member)| member["content"][ANY_MEDIA_TYPE].is_null())
                .map(|(name, member)| {
                    let plain = match name.as_str() {
                        "schema" => self.schema(member, Use::Response),
                        "example" | "examples" | "schemas" => member.clone(),
                        _ => self.node(member),
                    };
                    (name.clone(), plain)
                })
                .collect(),
            other => other.clone(),
        }
    }

    /// A named schema, without the conditions that connect its fields.
    fn component(&self, schema: &Value, place: Use) -> Value {
        let mut schema = schema.clone();
        if let Some(members) = schema.as_object_mut() {
            members.retain(|name, _| !["allOf", "anyOf", "oneOf"].contains(&name.as_str()));
        }
        self.schema(&schema, place)
    }

    fn schema(&self, schema: &Value, place: Use) -> Value {
        let mut plain = match (self.base(schema), self.alternatives(schema)) {
            (Some(reference), _) => self.reference(reference, place),
            (None, Some((alternative, is_nullable))) => {
                let plain = self.schema(&alternative, place);
                match is_nullable {
                    true => self.nullable(plain, place),
                    false => plain,
                }
            }
            (None, None) => return self.written_out(schema, place),
        };
        for name in ["description", "maxLength"] {
            if let Some(value) = schema.get(name) {
                plain[name] = value.clone();
            }
        }
        plain
    }

    /// The schema that `schema` refers to, or narrows.
    fn base<'s>(&self, schema: &'s Value) -> Option<&'s str> {
        let all = schema["allOf"].as_array().into_iter().flatten();
        let mut references = std::iter::once(schema).chain(all);
        references.find_map(|schema| schema["$ref"].as_str()?.strip_prefix(SCHEMA_PATH))
    }

    /// The one alternative of `schema` beside `null`, or any text if there are several; and whether
    /// `null` is one.
    fn alternatives(&self, schema: &Value) -> Option<(Value, bool)> {
        let all = schema["anyOf"].as_array().or(schema["oneOf"].as_array())?;
        let is_null = |schema: &Value| schema["type"] == "null";
        let others: Vec<&Value> = all.iter().filter(|schema| !is_null(schema)).collect();
        let is_nullable = others.len() < all.len() || has_null(&schema["type"]);
        match others.as_slice() {
            [one] => Some(((*one).clone(), is_nullable)),
            _ => Some((json!({"type": "string"}), is_nullable)),
        }
    }

    fn reference(&self, name: &str, place: Use) -> Value {
        match self.schemas.get(name) {
            Some(schema) if !is_component(schema) => self.schema(schema, place),
            _ => json!({"$ref": format!("{SCHEMA_PATH}{name}")}),
        }
    }

    /// A type or null. What a reference names is written out: few generators know a reference that
    /// may be null.
    fn nullable(&self, plain: Value, place: Use) -> Value {
        if place == Use::Request {
            return plain;
        }
        let named = plain["$ref"]
            .as_str()
            .and_then(|path| path.strip_prefix(SCHEMA_PATH));
        let mut plain = match named.and_then(|name| self.schemas.get(name)) {
            Some(schema) => self.component(schema, place),
            None => plain,
        };
        plain["type"] = json!([plain["type"], "null"]);
        plain
    }

    fn written_out(&self, schema: &Value, place: Use) -> Value {
        let members = schema.as_object().into_iter().flatten();
        let kept = members.filter(|(name, _)| KEPT.contains(&name.as_str()));
        let mut plain: Map<String, Value> = kept.map(|(k, v)| (k.clone(), v.clone())).collect();
        let mut is_nullable = has_null(&schema["type"]);
        if let Some(types) = schema["type"].as_array() {
            let first = types.iter().find(|kind| **kind != "null");
            plain.insert("type".into(), first.cloned().unwrap_or_default());
        }
        if let Some(values) = schema["enum"].as_array() {
            is_nullable |= values.contains(&Value::Null);
            plain.entry("type").or_insert_with(|| "string".into());
        }
        if schema.get("const").is_some() {
            plain.entry("type").or_insert_with(|| "string".into());
        }
        if let Some(fields) = schema["properties"].as_object() {
            let fields = fields
                .iter()
                .map(|(name, field)| (name.clone(), self.field(field, place)));
            plain.insert("properties".into(), fields.collect::<Map<_, _>>().into());
        }
        if let Some(items) = schema.get("items") {
            plain.insert("items".into(), self.schema(items, place));
        }
        match is_nullable {
            true => self.nullable(plain.into(), place),
            false => plain.into(),
        }
    }

    /// A field. In a response its enumeration becomes a part of its description.
    fn field(&self, field: &Value, place: Use) -> Value {
        let mut plain = self.schema(field, place);
        let values = match place {
            Use::Request => None,
            Use::Response => plain.as_object_mut().and_then(|plain| plain.remove("enum")),
        };
        if let Some(Value::Array(values)) = values {
            let values: Vec<String> = values
                .iter()
                .filter_map(|value| Some(format!("`{}`", value.as_str()?)))
                .collect();
            let description = plain["description"].as_str().unwrap_or_default();
            let sentence = format!(
                "{description} One of {}; more may follow.",
                values.join(", ")
            );
            plain["description"] = sentence.trim_start().into();
        }
        plain
    }
}

fn has_null(types: &Value) -> bool {
    types
        .as_array()
        .is_some_and(|types| types.contains(&json!("null")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        let document = serde_norway::from_str(include_str!("../../shared/openapi.yaml"));
        plain(&document.unwrap_or_else(|error| panic!("{error}")))
    }

    /// Calls `visit` with each schema and its path.
    fn visit(node: &Value, path: &str, check: &mut impl FnMut(&str, &str)) {
        match node {
            Value::Object(members) => {
                for (name, member) in members {
                    if !["example", "examples"].contains(&name.as_str()) {
                        check(path, name);
                        visit(member, &format!("{path}/{name}"), check);
                    }
                }
            }
            Value::Array(nodes) => {
                for node in nodes {
                    visit(node, path, check);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn plain_document_has_only_plain_constructs() {
        let mut found = vec![];
        visit(&document(), "", &mut |path, name| {
            let strict = [
                "pattern",
                "const",
                "not",
                "if",
                "allOf",
                "anyOf",
                "oneOf",
                "additionalProperties",
            ];
            if strict.contains(&name) && !path.ends_with("/properties") {
                found.push(format!("{path}/{name}"));
            }
        });
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn every_reference_leads_to_a_component() {
        let document = document();
        let text = document.to_string();
        let references = text.split("\"$ref\":\"#").skip(1);
        for reference in references.filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }

    #[test]
    fn fields_keep_types_and_bounds() {
        let document = document();
        let schemas = &document["components"]["schemas"];
        let verification = &schemas["Verification"]["properties"];
        assert_eq!(verification["resend_at"]["type"], json!(["string", "null"]));
        assert_eq!(verification["resend_at"]["format"], "date-time");
        assert_eq!(
            verification["transaction"]["type"],
            json!(["object", "null"])
        );
        assert_eq!(
            verification["delivery"]["$ref"],
            "#/components/schemas/Delivery"
        );
        let send = &schemas["CreateVerification"];
        assert_eq!(send["required"], json!(["to"]));
        assert_eq!(send["properties"]["ttl_seconds"]["type"], "integer");
        assert_eq!(send["properties"]["ttl_seconds"]["maximum"], 1800);
        assert_eq!(
            send["properties"]["channel"]["$ref"],
            "#/components/schemas/Channel"
        );
        let reason = &schemas["CheckOutcome"]["properties"]["reason"];
        assert_eq!(reason["type"], json!(["string", "null"]));
        assert_eq!(reason["enum"], Value::Null);
        let description = reason["description"].as_str().unwrap_or_default();
        assert!(description.contains("`wrong_code`"), "{description}");
    }

    #[test]
    fn every_component_is_used() {
        let document = document();
        let mut used = BTreeSet::new();
        add_references(&document, &mut used);
        let schemas = document["components"]["schemas"].as_object();
        let names: BTreeSet<String> = schemas.expect("schemas").keys().cloned().collect();
        assert_eq!(names, used);
    }

    #[test]
    fn every_operation_of_the_api_is_there() {
        let document = document();
        for (path, operations) in [
            ("/v1/verifications", 1),
            ("/v1/verifications/{id}/check", 1),
            ("/v1/callbacks/{carrier}/{token}", 3),
        ] {
            let methods = document["paths"][path].as_object();
            let methods = methods.into_iter().flat_map(Map::keys);
            let methods = methods.filter(|name| *name != "parameters" && *name != "description");
            assert_eq!(methods.count(), operations, "{path}");
        }
    }
}
