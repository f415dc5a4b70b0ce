//! The settings that decide the region of a user's database.

use std::collections::{BTreeMap, BTreeSet};

use strum::{EnumString, VariantNames};

use super::SettingsError;
use super::environment::{Environment, parse};
use crate::region::{
    CONTINENTS, CountryFile, CountryLookup, IpApi, PlacementPolicy, Region, is_country,
};

/// The regions by continent where the settings name none. The platform has a region in Europe; Xata
/// Lite had one in Oceania, too.
const ON_PLATFORM: &[(&str, &str)] = &[("EU", "eu-central-1")];
const ON_LITE: &[(&str, &str)] = &[("EU", "eu-west-1"), ("OC", "ap-southeast-2")];
const BUILT_IN_DEFAULT: &str = "us-east-1";

/// The address at which ip-api offers TLS.
const IP_API: &str = "https://pro.ip-api.com";

/// Reads the policy. Every region of it is allowed.
pub(super) fn policy(env: &Environment, is_lite: bool) -> Result<PlacementPolicy, SettingsError> {
    let name = "DEFAULT_REGION";
    let default: Region = parse(name, env.optional(name).unwrap_or(BUILT_IN_DEFAULT))?;
    let is_continent = |code: &str| CONTINENTS.iter().any(|&(continent, _)| continent == code);
    let by_country = map(env, "REGION_BY_COUNTRY", "country", is_country)?;
    let mut by_continent = map(env, "REGION_BY_CONTINENT", "continent", is_continent)?;
    let is_built_in = by_continent.is_empty();
    if is_built_in {
        for (code, id) in if is_lite { ON_LITE } else { ON_PLATFORM } {
            by_continent.insert((*code).to_owned(), parse("REGION_BY_CONTINENT", id)?);
        }
    }
    let name = "ALLOWED_REGIONS";
    let mut allowed: BTreeSet<Region> =
        env.list(name)?.into_iter().map(|id| parse(name, id)).collect::<Result<_, _>>()?;
    if allowed.is_empty() {
        allowed.extend(by_country.values().chain(by_continent.values()).cloned());
        allowed.insert(default.clone());
    }
    if is_built_in {
        by_continent.retain(|_, region| allowed.contains(region));
    }
    let places = std::iter::once(("DEFAULT_REGION", &default))
        .chain(by_country.values().map(|region| ("REGION_BY_COUNTRY", region)))
        .chain(by_continent.values().map(|region| ("REGION_BY_CONTINENT", region)));
    for (variable, region) in places {
        if !allowed.contains(region) {
            let problem = format!("places users in {region}, which {name} does not contain");
            return Err(SettingsError::new(variable, problem));
        }
    }
    let lookup = lookup(env)?;
    Ok(PlacementPolicy { default, by_country, by_continent, allowed, lookup })
}

#[derive(Default, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
enum GeoLookup {
    #[default]
    Offline,
    IpApi,
    Off,
}

fn lookup(env: &Environment) -> Result<CountryLookup, SettingsError> {
    match env.choice("GEO_LOOKUP")? {
        GeoLookup::Offline => offline(env, "GEOIP_DATABASE"),
        GeoLookup::IpApi => Ok(CountryLookup::IpApi(ip_api(env, "IP_API_URL", "IP_API_KEY")?)),
        GeoLookup::Off => Ok(CountryLookup::Off),
    }
}

fn offline(env: &Environment, name: &'static str) -> Result<CountryLookup, SettingsError> {
    let Some(path) = env.optional(name) else { return Ok(CountryLookup::Offline) };
    let bytes = std::fs::read(path)
        .map_err(|error| SettingsError::new(name, format!("cannot be read: {}", error.kind())))?;
    let file = CountryFile::read(bytes);
    Ok(CountryLookup::File(file.map_err(|error| SettingsError::new(name, error.to_string()))?))
}

fn ip_api(env: &Environment, url: &'static str, key: &'static str) -> Result<IpApi, SettingsError> {
    let given = env.optional(key);
    if given.is_none() && env.optional(url).is_none() {
        return Err(SettingsError::new(key, "is missing; ip-api serves TLS to its customers only"));
    }
    if given.is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        return Err(SettingsError::new(key, "has a character that no key has"));
    }
    Ok(IpApi { url: env.url(url, IP_API)?, key: given.map(Into::into) })
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
        if regions.insert(code, parse(variable, id)?).is_some() {
            return Err(bad(&format!("is the second for its {what}")));
        }
    }
    Ok(regions)
}
