//! Texts without secrets.

use serde_json::Value;

/// What stands in place of a secret.
const MASK: &str = "***";

/// Shorter values are no secrets, and would be found in other words.
const SHORTEST: usize = 6;

/// Knows the secrets of the settings.
pub(super) struct Masks(Vec<String>);

impl Masks {
    /// The secrets are the values of the variables that are named so; several are separated by commas.
    pub(super) fn new<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let is_secret = |name: &str| name.contains("SECRET") || name.contains("KEY");
        let values =
            variables.filter(|(name, _)| is_secret(name)).flat_map(|(_, it)| it.split(','));
        let values = values.map(str::trim).filter(|it| it.len() >= SHORTEST);
        Self(values.map(str::to_owned).collect())
    }

    /// Masks every text in a JSON value, and the whole value of `Authorization` and `password`.
    pub(super) fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(values) => {
                if let [Value::String(name), Value::String(value)] = &mut values[..]
                    && name.eq_ignore_ascii_case("authorization")
                {
                    MASK.clone_into(value);
                }
                for value in values {
                    self.value(value);
                }
            }
            Value::Object(members) => {
                for value in members.values_mut() {
                    self.value(value);
                }
            }
            _ => {}
        }
    }

    /// Masks the secrets, passwords in connection strings, and members of JSON that are named `password`.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.0.iter().filter(|secret| text.contains(*secret)).collect::<Vec<_>>() {
            text = text.replace(secret, MASK);
        }
        for (before, until) in [("://", '@'), ("\"password\":\"", '"')] {
            text = between(&text, before, until);
        }
        text
    }
}

/// Masks what stands between these two; in a URL, what follows the user's name.
fn between(text: &str, before: &str, until: char) -> String {
    let (mut masked, mut rest) = (String::new(), text);
    while let Some((head, tail)) = rest.split_once(before) {
        masked.push_str(head);
        masked.push_str(before);
        rest = tail;
        let ends = |it: char| it == until || it == '/' || it == '"' || it.is_whitespace();
        let end = tail.find(|it| if until == '@' { ends(it) } else { it == until });
        if let Some(end) = end.filter(|end| tail[*end..].starts_with(until)) {
            let user = tail[..end].split_once(':').map(|(user, _)| user).filter(|_| until == '@');
            match (user, until) {
                (Some(user), _) => masked.extend([user, ":", MASK]),
                (None, '@') => masked.push_str(&tail[..end]),
                (None, _) => masked.push_str(MASK),
            }
            rest = &tail[end..];
        }
    }
    masked + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn masks() -> Masks {
        let variables = [
            ("HOOKDECK_WEBHOOK_SECRET", "first-secret,second-secret"),
            ("XATA_API_KEY", "xau_secret"),
            ("XATA_PROJECT_ID", "prj_a"),
        ];
        Masks::new(variables.into_iter())
    }

    #[test]
    fn the_secrets_of_the_settings_are_masked_wherever_they_stand() {
        let text = "first-secret second-secret xau_secret prj_a";
        assert_eq!(masks().text(text), "*** *** *** prj_a");
    }

    #[test]
    fn passwords_are_masked_in_connection_strings_and_in_json() {
        for (text, masked) in [
            ("psql 'postgresql://xata:pw@host/db'", "psql 'postgresql://xata:***@host/db'"),
            (r#"{"password":"pw","a":1}"#, r#"{"password":"***","a":1}"#),
            ("https://example.com/a:b@c", "https://example.com/a:b@c"),
            ("https://user@example.com", "https://user@example.com"),
            ("a://b://c:d@e", "a://b://c:***@e"),
            ("://", "://"),
        ] {
            assert_eq!(masks().text(text), masked);
        }
    }

    #[test]
    fn the_header_authorization_is_masked_whole() {
        let mut value = json!({ "headers": [["Authorization", "Bearer unknown"], ["a", "b"]] });
        masks().value(&mut value);
        assert_eq!(value, json!({ "headers": [["Authorization", "***"], ["a", "b"]] }));
    }
}
