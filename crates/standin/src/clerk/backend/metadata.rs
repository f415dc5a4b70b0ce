//! Changes of a user's metadata (sections 7 and 11).

use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use crate::clerk::SignUp;

/// What becomes of the metadata that is there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// The given members are merged into it.
    Merge,
    /// Each kind that is given takes the place of the old one. Nulls in it are kept, a guess.
    Replace,
}

/// The user after the change. No kind may come to more than `most` bytes.
pub(super) fn changed(
    sign_up: &SignUp,
    change: Change,
    body: Map<String, Value>,
    most: usize,
) -> Result<SignUp, Refusal> {
    let mut changed = sign_up.clone();
    for (name, given) in body {
        let kind = match &*name {
            "public_metadata" => &mut changed.public_metadata,
            "private_metadata" => &mut changed.private_metadata,
            "unsafe_metadata" => &mut changed.unsafe_metadata,
            _ => return Err(Refusal::unknown(&name)),
        };
        if !given.is_object() {
            return Err(Refusal::wrong_type(&name));
        }
        match change {
            Change::Merge => merge(kind, given),
            Change::Replace => *kind = given,
        }
        if kind.to_string().len() > most {
            return Err(Refusal::too_large(&name));
        }
    }
    Ok(changed)
}

/// Merges objects at every depth; a null removes its key, and everything else, arrays too, is a value.
fn merge(into: &mut Value, given: Value) {
    let Value::Object(given) = given else {
        *into = given;
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in given {
        match (value, into.as_object_mut()) {
            (Value::Null, Some(members)) => drop(members.remove(&name)),
            (value, _) => merge(&mut into[name], value),
        }
    }
}
