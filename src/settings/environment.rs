use std::collections::BTreeMap;
use std::ffi::OsString;

use super::SettingsError;

/// The variables of ours that are set.
pub(super) struct Environment {
    known: BTreeMap<&'static str, String>,
    unknown: Vec<String>,
}

/// Names that start like this are ours, or meant to be.
const PREFIXES: [&str; 2] = ["XATA_", "HOOKDECK_"];

impl Environment {
    pub(super) fn collect(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        names: &[&'static str],
    ) -> Result<Self, SettingsError> {
        let (mut known, mut unknown) = (BTreeMap::new(), Vec::new());
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            if let Some(&name) = names.iter().find(|&&known| known == name) {
                let value =
                    value.into_string().map_err(|_| SettingsError::new(name, "is not UTF-8"))?;
                known.insert(name, value);
            } else if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
                unknown.push(name.to_owned());
            }
        }
        unknown.sort_unstable();
        Ok(Self { known, unknown })
    }

    /// Names that look like ours and are not.
    pub(super) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// A value without the blanks around it; an empty one counts as not set.
    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        self.known.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// A value that must be there, taken as it is.
    pub(super) fn secret(&self, name: &'static str) -> Result<&str, SettingsError> {
        match self.known.get(name).map(String::as_str) {
            None => Err(SettingsError::new(name, "is missing")),
            Some("") => Err(SettingsError::new(name, "is empty")),
            Some(value) => Ok(value),
        }
    }

    /// The members of a comma-separated list.
    pub(super) fn list(&self, name: &'static str) -> Result<Vec<&str>, SettingsError> {
        let members: Vec<_> = self
            .optional(name)
            .map(|list| list.split(',').map(str::trim).collect())
            .unwrap_or_default();
        if members.contains(&"") {
            Err(SettingsError::new(name, "has an empty member"))
        } else {
            Ok(members)
        }
    }

    /// The members of a comma-separated list of `key=value`.
    pub(super) fn pairs(&self, name: &'static str) -> Result<Vec<(&str, &str)>, SettingsError> {
        self.list(name)?
            .into_iter()
            .enumerate()
            .map(|(index, member)| match member.split_once('=') {
                Some((key, value)) => Ok((key.trim_end(), value.trim_start())),
                None => Err(SettingsError::new(
                    name,
                    format!("entry {} is not of the form key=value", index + 1),
                )),
            })
            .collect()
    }
}
