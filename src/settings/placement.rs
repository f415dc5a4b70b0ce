//! The settings that say who is placed where.

use std::collections::{BTreeMap, BTreeSet};

use super::SettingsError;
use super::environment::Environment;
use crate::region::{CONTINENTS, Lookup, Policy, Region, is_country};

/// Where people are placed on a platform that was told nothing: it has a region in Europe.
const BUILT_IN_CONTINENTS: [(&str, &str); 1] = [("EU", "eu-central-1")];
const BUILT_IN_DEFAULT: &str = "us-east-1";

/// Reads the policy, and sees to it that nobody can be placed in a region that is not allowed.
pub(super) fn policy(env: &Environment) -> Result<Policy, SettingsError> {
    let default =
        region("DEFAULT_REGION", env.optional("DEFAULT_REGION").unwrap_or(BUILT_IN_DEFAULT))?;
    let is_continent = |code: &str| CONTINENTS.iter().any(|&(continent, _)| continent == code);
    let by_country = map(env, "REGION_BY_COUNTRY", "country", is_country)?;
    let given_continents = map(env, "REGION_BY_CONTINENT", "continent", is_continent)?;
    let built_in = given_continents.is_empty();
    let mut by_continent = if built_in {
        let pairs = BUILT_IN_CONTINENTS.into_iter();
        pairs
            .map(|(code, id)| Ok((code.to_owned(), region("REGION_BY_CONTINENT", id)?)))
            .collect::<Result<_, _>>()?
    } else {
        given_continents
    };
    let mut allowed = BTreeSet::new();
    for id in env.list("ALLOWED_REGIONS")? {
        allowed.insert(region("ALLOWED_REGIONS", id)?);
    }
    if allowed.is_empty() {
        allowed.extend(by_country.values().chain(by_continent.values()).cloned());
        allowed.insert(default.clone());
    }
    if built_in {
        by_continent.retain(|_, region| allowed.contains(region));
    }
    let default_alone = std::iter::once(&default);
    let places = default_alone.map(|region| ("DEFAULT_REGION", region));
    let places = places.chain(by_country.values().map(|region| ("REGION_BY_COUNTRY", region)));
    let places = places.chain(by_continent.values().map(|region| ("REGION_BY_CONTINENT", region)));
    for (variable, region) in places {
        if !allowed.contains(region) {
            let problem =
                format!("places users in {region}, which ALLOWED_REGIONS does not contain");
            return Err(SettingsError::new(variable, problem));
        }
    }
    let lookup = match env.optional("GEO_LOOKUP") {
        None | Some("offline") => Lookup::Offline,
        Some("off") => Lookup::Off,
        Some("ip-api") => {
            return Err(SettingsError::new("GEO_LOOKUP", "does not support ip-api yet"));
        }
        Some(_) => return Err(SettingsError::new("GEO_LOOKUP", "must be offline or off")),
    };
    Ok(Policy { default, by_country, by_continent, allowed, lookup })
}

fn region(variable: &'static str, id: &str) -> Result<Region, SettingsError> {
    Region::try_from(id)
        .map_err(|problem| SettingsError::new(variable, format!("has a value that is {problem}")))
}

/// A map from codes to regions.
fn map(
    env: &Environment,
    variable: &'static str,
    what: &str,
    is_known: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Region>, SettingsError> {
    let mut regions = BTreeMap::new();
    for (index, (code, id)) in env.pairs(variable)?.into_iter().enumerate() {
        let code = code.to_ascii_uppercase();
        let bad =
            |problem: &str| SettingsError::new(variable, format!("entry {} {problem}", index + 1));
        if !is_known(&code) {
            return Err(bad(&format!("does not begin with the two-letter code of a {what}")));
        }
        if regions.insert(code, region(variable, id)?).is_some() {
            return Err(bad(&format!("is the second for its {what}")));
        }
    }
    Ok(regions)
}
