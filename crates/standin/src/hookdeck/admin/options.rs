//! The settings of a project.
//!
//! "Upsert traps" is a heading of docs/vendors/hookdeck.md.

use crate::clock::Clock;

/// The current version of the API.
pub const VERSION: &str = "2026-09-01";
/// The version before it, which the service still accepts.
pub const OLD_VERSION: &str = "2025-07-01";

/// The settings of an [`Admin`](super::Admin); changed at run time with `change`.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Options {
    /// The only key that is accepted, as a bearer token or as the user name of Basic.
    pub api_key: String,
    /// The project, `tm_…`.
    pub project: String,
    /// Whether an inline `config` changes only the members that it names, and not all of them. Unknown.
    pub merges_config: bool,
    /// Whether a Svix source that is sent again without `auth` keeps its secret. Probably not ("Upsert traps", 2).
    pub keeps_secret: bool,
    /// Whether `?include=config.auth` returns secrets.
    pub reveals_auth: bool,
    /// Whether the upsert of a connection enables its source and destination, too; it enables itself
    /// ("Upsert traps", 5).
    pub enables_parts: bool,
    /// Whether a rule in a response has its absent members as null. Unknown.
    pub spells_out_rules: bool,
    /// What the upsert of a connection does that names another source or destination. Unknown ("Upsert traps", 4).
    pub on_replacement: Replacement,
    /// Members of a destination's `config` that the service does not know, beside those of the other
    /// version.
    pub unknown_members: Vec<&'static str>,
    /// The wall clock of all timestamps.
    pub clock: Clock,
}

/// What the upsert of a connection does that names another source or destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// It is refused with 422.
    Refuse,
    /// It creates a second connection of that name.
    Another,
    /// The connection keeps its source and destination; the rest is changed.
    Ignore,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            api_key: "hd_fake_local_development_key".into(),
            project: "tm_local".into(),
            merges_config: false,
            keeps_secret: false,
            reveals_auth: true,
            enables_parts: false,
            spells_out_rules: false,
            on_replacement: Replacement::Refuse,
            unknown_members: Vec::new(),
            clock: Clock::start(),
        }
    }
}
