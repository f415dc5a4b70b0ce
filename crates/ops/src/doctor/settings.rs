//! The settings, read as the function does.

use std::collections::{BTreeMap, BTreeSet};

use cli::environment;
use per_user_db::settings::{SECRETS, Settings, SettingsError, VARIABLES};

use super::checks::Checks;

/// Names a secret that holds the secret settings which no variable holds.
const SECRETS_ID: &str = "SECRETS_ID";

/// Values for settings that are missing or broken, so that the others can be read.
pub(crate) const PLACEHOLDERS: [(&str, &str); 6] = [
    ("HOOKDECK_WEBHOOK_SECRET", "placeholder"),
    ("XATA_API_KEY", "placeholder"),
    ("XATA_ORGANIZATION_ID", "placeholder"),
    ("XATA_PROJECT_ID", "placeholder"),
    ("CLERK_WEBHOOK_SIGNING_SECRET", "whsec_cGxhY2Vob2xkZXI="),
    ("IP_API_KEY", "0"),
];

/// The secrets that the function cannot start without.
pub(crate) const NEEDED: [&str; 2] = ["HOOKDECK_WEBHOOK_SECRET", "XATA_API_KEY"];

/// The variables of the environment and of `.env`.
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(super) fn read() -> anyhow::Result<Self> {
        Ok(Self(environment::variables()?))
    }

    pub(super) fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Checks the settings, and returns them unless the function could not start with them.
    pub(super) fn check(&self, checks: &mut Checks) -> Option<Settings> {
        let mut variables: BTreeMap<&str, String> =
            self.0.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        if variables.remove(SECRETS_ID).is_some() {
            for (name, value) in self.placeholders() {
                variables.insert(name, value.to_owned());
            }
            if !self.has("CLERK_SECRET_KEY") {
                variables.remove("CLERK_API_URL"); // without a key it has no effect, which is a warning
            }
        }
        // A setting that cannot work is replaced or removed, so that the next one can be found.
        let mut broken = BTreeSet::new();
        let settings = loop {
            match environment::settings(&variables) {
                Ok(settings) => break Some(settings),
                Err(SettingsError { variable, .. }) if broken.contains(variable) => break None,
                Err(SettingsError { variable, problem }) => {
                    // The templates have to fit the projects and regions.
                    if broken.is_empty() || variable != "XATA_TEMPLATES" {
                        let mend = "correct it, in the environment or .env";
                        checks.broken(format!("setting {variable}"), problem, mend);
                    }
                    broken.insert(variable);
                    match PLACEHOLDERS.into_iter().find(|(name, _)| *name == variable) {
                        Some((name, value)) => variables.insert(name, value.to_owned()),
                        None => variables.remove(variable),
                    };
                }
            }
        };
        for name in VARIABLES.into_iter().filter(|name| self.has(name) && !broken.contains(name)) {
            checks.ok(format!("setting {name}"), "can work");
        }
        let settings = settings.filter(|_| broken.is_empty())?;
        let regions: Vec<_> = settings.policy.allowed.iter().map(ToString::to_string).collect();
        checks.ok("settings", format!("users are placed in {}", regions.join(", ")));
        for warning in &settings.warnings {
            checks.warning("settings", warning, "see the table of settings in docs/reference.md");
        }
        self.check_secrets(checks);
        Some(settings)
    }

    fn check_secrets(&self, checks: &mut Checks) {
        if !self.has(SECRETS_ID) {
            return;
        }
        let what = "the secrets are in the one that SECRETS_ID names, which is not read here";
        let missing: Vec<_> = NEEDED.into_iter().filter(|name| !self.has(name)).collect();
        if missing.is_empty() {
            checks.ok("secrets", format!("{what}; those in the environment are checked"));
        } else {
            let mend = format!(
                "to have them checked, set {} in the environment, for this command only",
                missing.join(" and ")
            );
            checks.warning("secrets", what, mend);
        }
    }

    /// Placeholders for the settings that the secret holds. They are never sent.
    fn placeholders(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let has_any = |names: &[&str]| names.iter().any(|name| self.has(name));
        let asks_ip_api = self.get("GEO_LOOKUP") == Some("ip-api");
        PLACEHOLDERS.into_iter().filter(move |(name, _)| match *name {
            "CLERK_WEBHOOK_SIGNING_SECRET" => !has_any(&[name, "CLERK_WEBHOOK_SECRET"]),
            "IP_API_KEY" => asks_ip_api && !self.has(name),
            name => SECRETS.contains(&name) && !self.has(name),
        })
    }
}
