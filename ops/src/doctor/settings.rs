//! The settings, read as the function does.

use std::collections::BTreeMap;

use per_user_db::settings::Settings;

use super::report::Report;
use crate::local;

/// Where secrets live that no variable holds.
const ELSEWHERE: &str = "SECRETS_ID";

/// The secrets that the function cannot start without.
const NEEDED: [&str; 2] = ["HOOKDECK_WEBHOOK_SECRET", "XATA_API_KEY"];

/// What is in the environment and in `.env`.
pub(super) struct Given(BTreeMap<String, String>);

impl Given {
    pub(super) fn read() -> Self {
        Self(local::variables())
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
        let settings = match local::read(&variables) {
            Ok(settings) => settings,
            Err(error) => {
                let mend = format!("correct {}, in the environment or .env", error.variable);
                report.broken("settings", error.to_string(), mend);
                return None;
            }
        };
        let regions: Vec<_> = settings.policy.allowed.iter().map(ToString::to_string).collect();
        report.ok("settings", format!("can work; users are placed in {}", regions.join(", ")));
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
        let needed = NEEDED.map(|name| (name, "elsewhere", !self.has(name)));
        let signs = ["CLERK_WEBHOOK_SIGNING_SECRET", "CLERK_WEBHOOK_SECRET"];
        let has_none = !signs.iter().any(|name| self.has(name));
        let asks_ip_api = self.get("GEO_LOOKUP") == Some("ip-api") && !self.has("IP_API_KEY");
        let others = [(signs[0], "whsec_ZWxzZXdoZXJl", has_none), ("IP_API_KEY", "0", asks_ip_api)];
        let all = needed.into_iter().chain(others);
        all.filter(|(.., is_missing)| *is_missing).map(|(name, value, _)| (name, value))
    }
}
