//! OpenAPI 3.0's schemas as JSON Schema 2020-12.
//!
//! The two differ in `nullable`, in members beside a `$ref`, which OpenAPI ignores, and in the
//! keywords that only describe. Any other difference is an error when the validator is built.

use serde_json::{Map, Value, json};

const DEFINITIONS: &str = "#/components/schemas/";
/// Where the closed form of each named schema is.
const CLOSED: &str = "#/components/closed/";

/// The document with its schemas translated. It has each named schema twice: open, as a part of a
/// composition, and closed to members that it does not name, for use on its own.
pub(super) fn translate(document: &Value) -> Value {
    let mut translated = elsewhere(document);
    if let Some(named) = document.pointer("/components/schemas").and_then(Value::as_object) {
        translated["components"]["schemas"] = each(named, open);
        translated["components"]["closed"] = each(named, closed);
    }
    translated
}

/// A node outside of `/components/schemas`.
fn elsewhere(node: &Value) -> Value {
    match node {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                let value = if name == "schema" { closed(value) } else { elsewhere(value) };
                (name.clone(), value)
            })
            .collect(),
        Value::Array(items) => items.iter().map(elsewhere).collect(),
        _ => node.clone(),
    }
}

fn each(schemas: &Map<String, Value>, translate: fn(&Value) -> Value) -> Value {
    schemas.iter().map(|(name, schema)| (name.clone(), translate(schema))).collect()
}

fn open(schema: &Value) -> Value {
    let Some(members) = schema.as_object() else { return schema.clone() };
    if let Some(reference) = members.get("$ref") {
        return json!({ "$ref": reference });
    }
    let mut translated: Map<String, Value> = members
        .iter()
        .map(|(keyword, value)| {
            let value = match (keyword.as_str(), value) {
                ("properties", Value::Object(properties)) => each(properties, closed),
                ("items" | "additionalProperties", _) => closed(value),
                ("allOf" | "oneOf" | "anyOf", Value::Array(parts)) => {
                    parts.iter().map(open).collect()
                }
                ("not", _) => open(value),
                _ => value.clone(),
            };
            (keyword.clone(), value)
        })
        .collect();
    if translated.remove("nullable") == Some(Value::Bool(true)) {
        if let Some(kind) = translated.get_mut("type") {
            *kind = json!([kind, "null"]);
        }
        if let Some(Value::Array(values)) = translated.get_mut("enum") {
            values.push(Value::Null);
        }
    }
    Value::Object(translated)
}

/// The document, where a `oneOf` beside which all members are forbidden, so that no value could be
/// valid, is an `anyOf` that forbids none.
pub(super) fn with_open_choices(document: Value) -> Value {
    match document {
        Value::Array(items) => items.into_iter().map(with_open_choices).collect(),
        Value::Object(mut members) => {
            let is_closed = members.get("additionalProperties") == Some(&Value::Bool(false))
                && members.get("properties").is_none_or(|it| it == &json!({}));
            if let (true, Some(parts)) = (is_closed, members.get("oneOf").cloned()) {
                for name in ["oneOf", "properties", "additionalProperties"] {
                    members.remove(name);
                }
                members.insert("anyOf".into(), parts);
            }
            let opened = members.into_iter().map(|(name, it)| (name, with_open_choices(it)));
            Value::Object(opened.collect())
        }
        _ => document,
    }
}

fn closed(schema: &Value) -> Value {
    let mut translated = open(schema);
    let Some(members) = translated.as_object_mut() else { return translated };
    if let Some(Value::String(reference)) = members.get_mut("$ref") {
        *reference = reference.replace(DEFINITIONS, CLOSED);
    } else if ["allOf", "oneOf", "anyOf"].iter().any(|keyword| members.contains_key(*keyword)) {
        members.insert("unevaluatedProperties".into(), false.into());
    } else if members.contains_key("properties") {
        members.entry("additionalProperties").or_insert(false.into());
    }
    translated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_allowed_where_openapi_says_nullable() {
        let schema = json!({ "type": "string", "nullable": true, "enum": ["a"] });
        assert_eq!(open(&schema), json!({ "type": ["string", "null"], "enum": ["a", null] }));
        let schema = json!({ "type": "string", "nullable": false });
        assert_eq!(open(&schema), json!({ "type": "string" }));
    }

    #[test]
    fn members_beside_a_reference_are_ignored() {
        let schema = json!({ "$ref": "#/components/schemas/A", "type": "null" });
        assert_eq!(open(&schema), json!({ "$ref": "#/components/schemas/A" }));
        assert_eq!(closed(&schema), json!({ "$ref": "#/components/closed/A" }));
    }

    #[test]
    fn a_choice_that_no_value_could_satisfy_is_opened() {
        let closed = json!({ "a": [{ "oneOf": [{ "b": 1 }], "properties": {}, "additionalProperties": false }] });
        assert_eq!(with_open_choices(closed), json!({ "a": [{ "anyOf": [{ "b": 1 }] }] }));
        let named =
            json!({ "oneOf": [], "properties": { "c": {} }, "additionalProperties": false });
        assert_eq!(with_open_choices(named.clone()), named);
    }

    #[test]
    fn a_schema_is_closed_on_its_own_and_open_as_a_part() {
        let document = json!({
            "components": { "schemas": {
                "Part": { "properties": { "nullable": { "type": "string" } } },
                "Whole": { "allOf": [{ "$ref": "#/components/schemas/Part" }] },
                "Map": { "type": "object", "additionalProperties": { "type": "string" } },
                "Anything": { "type": "object" },
            } },
            "paths": { "/a": { "content": { "schema": { "properties": {
                "part": { "$ref": "#/components/schemas/Part" },
            } } } } },
        });
        let translated = translate(&document);
        let part = document["components"]["schemas"]["Part"].clone();
        assert_eq!(translated["components"]["schemas"]["Part"], part);
        assert_eq!(
            translated["components"]["closed"],
            json!({
                "Part": { "properties": part["properties"], "additionalProperties": false },
                "Whole": {
                    "allOf": [{ "$ref": "#/components/schemas/Part" }],
                    "unevaluatedProperties": false,
                },
                "Map": { "type": "object", "additionalProperties": { "type": "string" } },
                "Anything": { "type": "object" },
            })
        );
        assert_eq!(
            translated["paths"]["/a"]["content"]["schema"],
            json!({
                "properties": { "part": { "$ref": "#/components/closed/Part" } },
                "additionalProperties": false,
            })
        );
    }
}
