//! The filter of a connection. It matches as the vendor's package `simple-json-match` 1.3.0 does (docs/vendors/hookdeck.md, "Filter").

use std::cmp::Ordering;

use serde_json::{Map, Value};

/// Whether a value passes a schema. `$ref` is not understood, and so matches nothing.
pub fn matches(schema: &Value, input: &Value) -> bool {
    match (schema, input) {
        (Value::Object(schema), Value::Object(input)) => object_matches(schema, input),
        (Value::Object(schema), input) if is_operators(schema) => {
            schema.iter().all(|(operator, operand)| operator_matches(operator, operand, input))
        }
        // An array matches what one of its elements matches; an array of schemas needs each found.
        (Value::Array(schemas), Value::Array(elements)) => {
            schemas.iter().all(|schema| elements.iter().any(|element| matches(schema, element)))
        }
        (schema, Value::Array(elements)) => elements.iter().any(|element| matches(schema, element)),
        (Value::Object(_) | Value::Array(_), _) | (_, Value::Object(_)) => false,
        (schema, input) => equals(schema, input),
    }
}

/// Every member has to match; three operators stand beside members, for the whole object.
fn object_matches(schema: &Map<String, Value>, input: &Map<String, Value>) -> bool {
    let whole = Value::Object(input.clone());
    schema.iter().all(|(name, schema)| match (name.as_str(), schema) {
        ("$and", Value::Array(schemas)) => schemas.iter().all(|schema| matches(schema, &whole)),
        ("$not", schema) => !matches(schema, &whole),
        (operator, operand) if operator.starts_with('$') => {
            operator_matches(operator, operand, &whole)
        }
        (name, schema) => match input.get(name) {
            Some(input) => matches(schema, input),
            None => schema.get("$exist") == Some(&Value::Bool(false)),
        },
    })
}

fn is_operators(schema: &Map<String, Value>) -> bool {
    schema.keys().next().is_none_or(|name| name.starts_with('$'))
}

/// An operator that does not know a type, or is not known, matches nothing.
fn operator_matches(operator: &str, operand: &Value, input: &Value) -> bool {
    let order = |accepts: fn(Ordering) -> bool| compare(input, operand).is_some_and(accepts);
    match (operator, operand, input) {
        ("$eq", ..) => equals(operand, input),
        ("$neq", ..) => !equals(operand, input),
        ("$exist", Value::Bool(exists), _) => *exists,
        ("$or", Value::Array(schemas), _) => schemas.iter().any(|schema| matches(schema, input)),
        (_, _, Value::Array(_) | Value::Object(_)) => false,
        ("$gt", ..) => order(Ordering::is_gt),
        ("$gte", ..) => order(Ordering::is_ge),
        ("$lt", ..) => order(Ordering::is_lt),
        ("$lte", ..) => order(Ordering::is_le),
        ("$in", Value::Array(list), _) => list.iter().any(|one| equals(one, input)),
        ("$nin", Value::Array(list), _) => !list.iter().any(|one| equals(one, input)),
        ("$in", Value::String(text), Value::String(input)) => input.contains(text),
        ("$nin", Value::String(text), Value::String(input)) => !input.contains(text),
        ("$startsWith", operand, Value::String(input)) => {
            any_text(operand, |text| input.starts_with(text))
        }
        ("$endsWith", operand, Value::String(input)) => {
            any_text(operand, |text| input.ends_with(text))
        }
        _ => false,
    }
}

/// A text, or any of a list of them.
fn any_text(operand: &Value, accepts: impl Fn(&str) -> bool) -> bool {
    match operand {
        Value::String(text) => accepts(text),
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).any(accepts),
        _ => false,
    }
}

/// JavaScript's loose equality, which is what the engine compares primitives with.
fn equals(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Null, _) | (_, Value::Null) => one == other,
        (Value::String(one), Value::String(other)) => one == other,
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => {
            one == other
        }
        _ => number(one).is_some_and(|one| number(other) == Some(one)),
    }
}

fn compare(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        _ => number(one)?.partial_cmp(&number(other)?),
    }
}

/// What JavaScript takes a primitive for where it wants a number.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        Value::Number(value) => value.as_f64(),
        Value::String(text) if text.trim().is_empty() => Some(0.0),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
