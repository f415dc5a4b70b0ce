use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;

use http::Uri;
use secrecy::SecretString;

use super::{SECRETS, SettingsError};

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

    /// Adds the members of a secret that are secret settings.
    pub(super) fn add(&mut self, secret: &BTreeMap<String, String>) -> Result<(), SettingsError> {
        for name in SECRETS {
            let Some(value) = secret.get(name).filter(|value| !value.is_empty()) else { continue };
            if self.known.get(name).is_some_and(|value| !value.is_empty()) {
                let problem = "is given twice, here and in the secret of SECRETS_ID; unset one";
                return Err(SettingsError::new(name, problem));
            }
            self.known.insert(name, value.clone());
        }
        Ok(())
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

    /// A key that must be there, and can stand in a header.
    pub(super) fn key(&self, name: &'static str) -> Result<SecretString, SettingsError> {
        let key = self.secret(name)?;
        if key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(key.into());
        }
        Err(SettingsError::new(name, "has a blank, or a character that no key has"))
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

    /// An address that secrets may be sent to: https, or http to this machine. Without a slash at
    /// its end.
    pub(super) fn url(&self, name: &'static str, default: &str) -> Result<String, SettingsError> {
        let text = self.optional(name).unwrap_or(default).trim_end_matches('/');
        let bad = || {
            SettingsError::new(name, "must be an https URL, or an http URL of a loopback address")
        };
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let is_loopback = host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let is_safe =
            uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && is_loopback);
        // The parser looks neither at the port nor at what else surrounds the host.
        let port = authority.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        let is_bare = authority.as_str() == format!("{}{port}", authority.host())
            && !text.contains(['?', '#']);
        if is_safe && is_bare { Ok(text.to_owned()) } else { Err(bad()) }
    }
}
