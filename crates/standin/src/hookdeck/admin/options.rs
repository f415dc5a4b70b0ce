//! How a project is set up, and which reading of what the contract does not know is played.

use crate::clock::Clock;

/// The settings of an [`super::Admin`]; changed at run time with [`super::Admin::change`].
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Options {
    /// The only key that is accepted, as a bearer token or as the user name of Basic (section 7).
    pub api_key: String,
    /// The project, `tm_…`.
    pub project: String,
    /// Whether an inline `config` changes only the members that it names, and not the whole. Unknown.
    pub merges_config: bool,
    /// Whether a Svix source that is sent again without `auth` keeps its secret. Probably not (section 8, trap 2).
    pub keeps_secret: bool,
    /// Whether `?include=config.auth` returns secrets (section 8, "Answer").
    pub reveals_auth: bool,
    /// Whether the upsert of a connection enables its source and destination, too; itself it does (trap 5).
    pub enables_parts: bool,
    /// Whether an answer spells out the members of a rule that nobody gave, as null. Unknown.
    pub spells_out_rules: bool,
    /// What the name of a connection with another source or destination does. Unknown (trap 4).
    pub on_swap: Swap,
    /// The wall clock of all timestamps.
    pub clock: Clock,
}

/// What the name of a connection with another source or destination does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// 422.
    Refuse,
    /// There is a second connection of that name.
    Another,
    /// The connection stays where it is; the rest is changed.
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
            on_swap: Swap::Refuse,
            clock: Clock::start(),
        }
    }
}
