use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Display;
use std::str::FromStr;

use secrecy::SecretString;
use strum::VariantNames;
use url::{Host, Url};

use super::{READ_ELSEWHERE, SAM_LOCAL, SECRETS, SettingsError};

/// The variables that are set, and what an operator should know about them.
pub(super) struct Environment {
    known: BTreeMap<&'static str, String>,
    /// The names that were read. A setting that is set and never read has no effect.
    read: RefCell<BTreeSet<String>>,
    warnings: RefCell<Vec<String>>,
}

/// A name with one of these prefixes is a setting of this program, or a misspelt one.
const PREFIXES: [&str; 2] = ["XATA_", "HOOKDECK_"];

impl Environment {
    pub(super) fn collect(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        names: &[&'static str],
    ) -> Result<Self, SettingsError> {
        let (mut known, mut unknown) = (BTreeMap::new(), BTreeSet::new());
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            if let Some(&name) = names.iter().find(|&&known| known == name) {
                let value =
                    value.into_string().map_err(|_| SettingsError::new(name, "is not UTF-8"))?;
                known.insert(name, value);
            } else if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
                unknown.insert(name.to_owned());
            }
        }
        let unknown = unknown.iter().map(|name| {
            format!("{name} is set, but no setting has that name; see docs/reference.md")
        });
        let warnings = RefCell::new(unknown.collect());
        Ok(Self { known, read: RefCell::default(), warnings })
    }

    /// Adds the settings that are members of a secret.
    pub(super) fn add(&mut self, secret: &BTreeMap<String, String>) -> Result<(), SettingsError> {
        for (member, value) in secret.iter().filter(|(_, value)| !value.is_empty()) {
            let Some(name) = SECRETS.into_iter().find(|name| name == member) else {
                self.warn(format!("{member} has no effect as a member of the secret"));
                continue;
            };
            if self.known.insert(name, value.clone()).is_some_and(|value| !value.is_empty()) {
                let problem = "is given twice, here and in the secret of SECRETS_ID; unset one";
                return Err(SettingsError::new(name, problem));
            }
        }
        Ok(())
    }

    pub(super) fn warn(&self, warning: String) {
        self.warnings.borrow_mut().push(warning);
    }

    /// The warnings, among them one for each setting that was set and never read.
    pub(super) fn into_warnings(self) -> Vec<String> {
        let read = self.read.into_inner();
        let mut warnings = self.warnings.into_inner();
        let is_ignored = |(name, value): &(&&str, &String)| {
            !value.is_empty() && !read.contains(**name) && !READ_ELSEWHERE.contains(name)
        };
        let ignored = self.known.iter().filter(is_ignored);
        warnings.extend(
            ignored.map(|(name, _)| format!("{name} has no effect with the other settings")),
        );
        warnings
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.read.borrow_mut().insert(name.to_owned());
        self.known.get(name).map(String::as_str)
    }

    /// A value without the blanks around it. An empty one counts as not set.
    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        self.get(name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// A value that has to be set, and how to mend that it is not.
    pub(super) fn required(&self, name: &'static str, mend: &str) -> Result<&str, SettingsError> {
        let missing = || SettingsError::new(name, format!("is missing; {mend}"));
        self.optional(name).ok_or_else(missing)
    }

    /// A setting that has two names: the one that is set, and its value.
    pub(super) fn either(
        &self,
        names: [&'static str; 2],
    ) -> Result<Option<(&'static str, &str)>, SettingsError> {
        let mut set = names.into_iter().filter_map(|name| Some((name, self.optional(name)?)));
        match (set.next(), set.next()) {
            (Some((name, _)), Some((other, _))) => {
                let problem = format!("and {other} are the same setting; unset one");
                Err(SettingsError::new(name, problem))
            }
            (first, _) => Ok(first),
        }
    }

    /// A value that is required, with every blank.
    pub(super) fn secret(&self, name: &'static str) -> Result<&str, SettingsError> {
        match self.get(name) {
            None => Err(SettingsError::new(name, "is missing")),
            Some("") => Err(SettingsError::new(name, "is empty")),
            Some(value) => Ok(value),
        }
    }

    /// A key that is required, and is valid in a header.
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

    /// One of the words of an enum; its default where the variable is not set.
    pub(super) fn choice<T>(&self, name: &'static str) -> Result<T, SettingsError>
    where
        T: Default + FromStr + VariantNames,
    {
        let Some(word) = self.optional(name) else { return Ok(T::default()) };
        word.parse().map_err(|_| match T::VARIANTS {
            [words @ .., last] => {
                SettingsError::new(name, format!("must be {} or {last}", words.join(", ")))
            }
            [] => SettingsError::new(name, "cannot be set"),
        })
    }

    /// The base URL of a service that receives secrets. Without a slash at its end.
    ///
    /// In a container of `sam local`, the developer's machine is `host.docker.internal`, and SAM sets
    /// `AWS_SAM_LOCAL`.
    pub(super) fn url(&self, name: &'static str, default: &str) -> Result<String, SettingsError> {
        let text = self.optional(name).unwrap_or(default);
        let local_host =
            (self.optional(SAM_LOCAL) == Some("true")).then_some("host.docker.internal");
        parse_base_url(text, local_host).ok_or_else(|| {
            SettingsError::new(name, "must be an https URL, or an http URL of a loopback address")
        })
    }
}

/// Parses a value, or a member of one.
pub(super) fn parse<'a, T>(name: &'static str, text: &'a str) -> Result<T, SettingsError>
where
    T: TryFrom<&'a str, Error: Display>,
{
    let problem = |error| format!("has a value that cannot be used: {error}");
    text.try_into().map_err(|error| SettingsError::new(name, problem(error)))
}

/// Parses the base URL of a service that receives secrets: https, or http of a loopback address, and
/// without a user, a query or a fragment. Without a slash at its end.
pub fn base_url(text: &str) -> Option<String> {
    parse_base_url(text, None)
}

fn parse_base_url(text: &str, local_host: Option<&str>) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let is_local = match url.host()? {
        Host::Domain(domain) => domain == "localhost" || Some(domain) == local_host,
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    };
    let is_private = url.scheme() == "https" || (url.scheme() == "http" && is_local);
    let is_base = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    // The client sends it as a URI, whose host has fewer characters.
    let is_uri = url.as_str().parse::<http::Uri>().is_ok();
    (is_private && is_base && is_uri).then(|| url.as_str().trim_end_matches('/').to_owned())
}
