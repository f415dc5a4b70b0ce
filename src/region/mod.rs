//! The region of a user's database: the preference in the user's metadata, else the country of the
//! address, else the default.
//!
//! The choice depends only on the event's bytes, the settings and the country table of the build, so
//! every copy of an event gets the same region. (The handler reads the metadata of now at Clerk if the
//! event asks for a region that is not allowed.) `docs/vendors/clerk.md` describes the inputs in
//! "Client address" and "Metadata".

mod address;
mod country;
mod lookup;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use strum::IntoStaticStr;
use tokio::time::Instant;

use crate::http_client::HttpClient;

pub use address::Address;
pub use country::{CONTINENTS, continent_of, is_country};
pub use lookup::{CountryFile, CountryLookup, IpApi, NotACountryFile};

/// The id of a region of Xata, such as `eu-central-1`: 1 to 64 lower-case letters, digits and
/// hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Region(String);

/// Text that is no region id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a region id: lower-case letters, digits and hyphens")]
pub struct NotARegion;

impl Region {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Region {
    type Error = NotARegion;

    fn try_from(text: &str) -> Result<Self, NotARegion> {
        let well_formed = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        well_formed.then(|| Self(text.to_owned())).ok_or(NotARegion)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The `db_region` in each kind of a user's metadata. All of it is untrusted text.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Preferences {
    /// In the metadata that only the application's backend can read and write.
    pub private_metadata: Option<String>,
    /// In the metadata that the backend writes and the browser can read.
    pub public_metadata: Option<String>,
    /// In the metadata that the browser can write.
    pub unsafe_metadata: Option<String>,
}

/// What an event tells about the user's place. All of it is untrusted text.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Hints {
    /// The regions that the user's metadata asks for.
    pub preferences: Preferences,
    /// The IP address of the client that signed up. It is personal data and must not reach a log.
    pub client_ip: Option<String>,
    /// The client's `User-Agent`.
    pub user_agent: Option<String>,
}

/// The chosen region and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// The region.
    pub region: Region,
    /// The reason.
    pub reason: PlacementReason,
}

/// Why a region was chosen.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, IntoStaticStr, Serialize)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum PlacementReason {
    /// `private_metadata.db_region`.
    PrivateMetadata,
    /// `public_metadata.db_region`.
    PublicMetadata,
    /// `unsafe_metadata.db_region`.
    UnsafeMetadata,
    /// The country or the continent of the client's address.
    Geo,
    /// No hint led to an allowed region.
    #[default]
    Default,
}

/// The rules of placement. [`settings`](crate::settings) builds it and makes sure that every region in
/// it is allowed.
#[derive(Debug)]
pub struct PlacementPolicy {
    /// The region without a usable hint.
    pub default: Region,
    /// The region of each two-letter country code; wins over the continent.
    pub by_country: BTreeMap<String, Region>,
    /// The region of each two-letter continent code.
    pub by_continent: BTreeMap<String, Region>,
    /// The only regions that are ever chosen.
    pub allowed: BTreeSet<Region>,
    /// How the country of an address is looked up.
    pub lookup: CountryLookup,
}

/// A placement, and how it was found, for the log.
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    /// The placement.
    pub placement: Placement,
    /// The kind of the address. The log has the kind and never the address.
    pub address: Address,
    /// The preference that the browser can write was skipped, because its region is not allowed.
    pub preference_rejected: bool,
    /// The country is unknown, because ip-api refuses the key.
    pub lookup_refused: bool,
}

/// A backend asks for a region that is not allowed. The word is that of the metadata.
#[derive(Debug, PartialEq, Eq)]
pub struct RegionNotAllowed(pub PlacementReason);

impl PlacementPolicy {
    /// Chooses an allowed region. Only [`CountryLookup::IpApi`] uses the client, before the deadline.
    ///
    /// # Errors
    /// When the metadata that only a backend can write asks for another region: a rule about where a
    /// user's data lies is kept or refused.
    pub async fn place(
        &self,
        hints: &Hints,
        client: &HttpClient,
        deadline: Instant,
    ) -> Result<Decision, RegionNotAllowed> {
        let address = Address::classify(hints.client_ip.as_deref(), hints.user_agent.as_deref());
        let (preferred, preference_rejected) = self.preferred(&hints.preferences)?;
        if let Some(placement) = preferred {
            let lookup_refused = false;
            return Ok(Decision { placement, address, preference_rejected, lookup_refused });
        }
        let country = match address.public() {
            Some(ip) => self.lookup.country(ip, client, deadline).await,
            None => Ok(None),
        };
        let lookup_refused = country.is_err();
        let placement = match country.ok().flatten().and_then(|country| self.by_country(&country)) {
            Some(region) => Placement { region: region.clone(), reason: PlacementReason::Geo },
            None => Placement { region: self.default.clone(), reason: PlacementReason::Default },
        };
        Ok(Decision { placement, address, preference_rejected, lookup_refused })
    }

    /// The placement that the metadata asks for, and whether a preference that the browser can write was
    /// skipped, because its region is not allowed.
    ///
    /// # Errors
    /// As [`place`](Self::place).
    pub fn preferred(
        &self,
        preferences: &Preferences,
    ) -> Result<(Option<Placement>, bool), RegionNotAllowed> {
        let preferences = [
            (PlacementReason::PrivateMetadata, &preferences.private_metadata),
            (PlacementReason::PublicMetadata, &preferences.public_metadata),
            (PlacementReason::UnsafeMetadata, &preferences.unsafe_metadata),
        ];
        let mut is_rejected = false;
        for (reason, wanted) in preferences {
            let wanted = wanted.as_deref().map(str::trim).filter(|wanted| !wanted.is_empty());
            let Some(wanted) = wanted else { continue };
            match Region::try_from(wanted.to_lowercase().as_str()) {
                Ok(region) if self.allowed.contains(&region) => {
                    return Ok((Some(Placement { region, reason }), is_rejected));
                }
                _ if reason == PlacementReason::UnsafeMetadata => is_rejected = true,
                _ => return Err(RegionNotAllowed(reason)),
            }
        }
        Ok((None, is_rejected))
    }

    fn by_country(&self, country: &str) -> Option<&Region> {
        self.by_country.get(country).or_else(|| self.by_continent.get(continent_of(country)?))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::http_client;

    fn region(id: &str) -> Region {
        Region::try_from(id).expect("a region id")
    }

    fn policy() -> PlacementPolicy {
        let (us, eu, nz) = (region("us-east-1"), region("eu-central-1"), region("ap-southeast-2"));
        PlacementPolicy {
            default: us.clone(),
            by_country: [("NZ".to_owned(), nz.clone())].into(),
            by_continent: [("EU".to_owned(), eu.clone())].into(),
            allowed: [us, eu, nz].into(),
            lookup: CountryLookup::Offline,
        }
    }

    fn from_address(client_ip: &str) -> Hints {
        Hints { client_ip: Some(client_ip.to_owned()), ..Hints::default() }
    }

    /// Decides without a request.
    fn decide(policy: &PlacementPolicy, hints: &Hints) -> Decision {
        let no_service = http_client::boxed(tower::service_fn(|_| async {
            Err::<reqwest::Response, _>("an unexpected request")
        }));
        let decision = policy.place(hints, &no_service, Instant::now());
        decision.now_or_never().expect("a decision without a wait").expect("an allowed region")
    }

    fn place(policy: &PlacementPolicy, hints: &Hints) -> (String, PlacementReason) {
        let placement = decide(policy, hints).placement;
        (placement.region.to_string(), placement.reason)
    }

    #[test]
    fn a_country_takes_precedence_over_its_continent_and_the_default_is_last() {
        let policy = policy();
        assert_eq!(
            place(&policy, &from_address("84.200.69.80")),
            ("eu-central-1".to_owned(), PlacementReason::Geo)
        );
        assert_eq!(
            place(&policy, &from_address("202.27.184.3")),
            ("ap-southeast-2".to_owned(), PlacementReason::Geo)
        );
        assert_eq!(
            place(&policy, &from_address("8.8.8.8")),
            ("us-east-1".to_owned(), PlacementReason::Default)
        );
        let germany_too = PlacementPolicy {
            by_country: [("DE".to_owned(), region("us-east-1"))].into(),
            ..policy
        };
        assert_eq!(
            place(&germany_too, &from_address("84.200.69.80")),
            ("us-east-1".to_owned(), PlacementReason::Geo)
        );
    }

    /// Hints with a `db_region` in the private, the public and the unsafe metadata.
    fn prefer(wanted: [Option<&str>; 3]) -> Hints {
        let [private_metadata, public_metadata, unsafe_metadata] =
            wanted.map(|it| it.map(str::to_owned));
        let preferences = Preferences { private_metadata, public_metadata, unsafe_metadata };
        Hints { preferences, ..from_address("84.200.69.80") }
    }

    #[test]
    fn the_most_trusted_preference_wins_and_only_the_browser_s_falls_through() {
        let (private, public, r#unsafe, geo) = (
            PlacementReason::PrivateMetadata,
            PlacementReason::PublicMetadata,
            PlacementReason::UnsafeMetadata,
            PlacementReason::Geo,
        );
        let mars = Some("mars-north-1");
        let cases = [
            ([Some("us-east-1"), Some("eu-central-1"), None], "us-east-1", private, false),
            ([Some("us-east-1"), mars, mars], "us-east-1", private, false),
            ([None, Some(" AP-Southeast-2\n"), Some("us-east-1")], "ap-southeast-2", public, false),
            ([Some(" "), Some(""), Some("us-east-1")], "us-east-1", r#unsafe, false),
            ([None, None, Some("../../x")], "eu-central-1", geo, true),
            ([None, None, Some("")], "eu-central-1", geo, false),
        ];
        for (wanted, region, reason, rejected) in cases {
            let decision = decide(&policy(), &prefer(wanted));
            assert_eq!(decision.placement.region.as_str(), region);
            assert_eq!(
                (decision.placement.reason, decision.preference_rejected),
                (reason, rejected)
            );
        }
    }

    #[test]
    fn no_address_is_looked_up_when_the_lookup_is_off() {
        let policy = PlacementPolicy { lookup: CountryLookup::Off, ..policy() };
        assert_eq!(
            place(&policy, &from_address("84.200.69.80")),
            ("us-east-1".to_owned(), PlacementReason::Default)
        );
    }

    #[test]
    fn the_address_of_a_server_is_not_looked_up() {
        let server = Hints {
            user_agent: Some("clerk/clerk-sdk-go@v3.0.0".to_owned()),
            ..from_address("84.200.69.80")
        };
        assert_eq!(place(&policy(), &server).1, PlacementReason::Default);
    }
}
