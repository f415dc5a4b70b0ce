//! The settings, read as the function does.

use std::collections::{BTreeMap, BTreeSet};

use per_user_db::settings::{SECRETS, Settings, SettingsError, VARIABLES};

use super::report::Report;
use cli::environment;

/// Where secrets live that no variable holds.
const ELSEWHERE: &str = "SECRETS_ID";

/// Stand where a value is needed, so that the others can be read.
const PLACEHOLDERS: [(&str, &str); 6] = [
    ("HOOKDECK_WEBHOOK_SECRET", "placeholder"),
    ("XATA_API_KEY", "placeholder"),
    ("XATA_ORGANIZATION_ID", "placeholder"),
    ("XATA_PROJECT_ID", "placeholder"),
    ("CLERK_WEBHOOK_SIGNING_SECRET", "whsec_cGxhY2Vob2xkZXI="),
    ("IP_API_KEY", "0"),
];

/// The secrets that the function cannot start without.
const NEEDED: [&str; 2] = ["HOOKDECK_WEBHOOK_SECRET", "XATA_API_KEY"];

/// What is in the environment and in `.env`.
pub(super) struct Given(BTreeMap<String, String>);

impl Given {
    pub(super) fn read() -> Self {
        Self(environment::variables())
    }

    pub(super) fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The settings, unless the function could not start with them.
    pub(super) fn examine(&self, report: &mut Report) -> Option<Settings> {
        let mut variables: BTreeMap<&str, String> =
            self.0.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        if variables.remove(ELSEWHERE).is_some() {
            for (name, value) in self.stand_ins() {
                variables.insert(name, value.to_owned());
            }
            if !self.has("CLERK_SECRET_KEY") {
                variables.remove("CLERK_API_URL"); // which then seems to have no effect
            }
        }
        // What cannot work is taken away, to see whether there is more.
        let mut broken = BTreeSet::new();
        let settings = loop {
            match environment::settings(&variables) {
                Ok(settings) => break Some(settings),
                Err(SettingsError { variable, .. }) if broken.contains(variable) => break None,
                Err(SettingsError { variable, problem }) => {
                    // The templates have to fit the projects and regions.
                    if broken.is_empty() || variable != "XATA_TEMPLATES" {
                        let mend = "correct it, in the environment or .env";
                        report.broken(format!("setting {variable}"), problem, mend);
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
            report.ok(format!("setting {name}"), "can work");
        }
        let settings = settings.filter(|_| broken.is_empty())?;
        let regions: Vec<_> = settings.policy.allowed.iter().map(ToString::to_string).collect();
        report.ok("settings", format!("users are placed in {}", regions.join(", ")));
        for warning in &settings.warnings {
            report.warning("settings", warning, "see the table of settings in the README");
        }
        self.examine_secrets(report);
        Some(settings)
    }

    fn examine_secrets(&self, report: &mut Report) {
        if !self.has(ELSEWHERE) {
            return;
        }
        let what = "secrets live in the secret that SECRETS_ID names, which is not read here";
        let missing: Vec<_> = NEEDED.into_iter().filter(|name| !self.has(name)).collect();
        if missing.is_empty() {
            report.ok("secrets", format!("{what}; those in the environment are checked"));
        } else {
            let mend = format!(
                "to have them checked, set {} in the environment, for this command only",
                missing.join(" and ")
            );
            report.warning("secrets", what, mend);
        }
    }

    /// Whatever the function finds elsewhere; never sent to anybody.
    fn stand_ins(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let has_any = |names: &[&str]| names.iter().any(|name| self.has(name));
        let asks_ip_api = self.get("GEO_LOOKUP") == Some("ip-api");
        PLACEHOLDERS.into_iter().filter(move |(name, _)| match *name {
            "CLERK_WEBHOOK_SIGNING_SECRET" => !has_any(&[name, "CLERK_WEBHOOK_SECRET"]),
            "IP_API_KEY" => asks_ip_api && !self.has(name),
            name => SECRETS.contains(&name) && !self.has(name),
        })
    }
}
