//! Where: what the user's metadata prefers, else the country of their address, else the default.
//!
//! The choice is total and depends on nothing but the event's bytes, the settings and the table of
//! the build, so every copy of an event chooses the same region. Order and address classes:
//! `contracts/clerk.md` sections 4 and 7.

mod address;
mod country;
mod lookup;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use strum::IntoStaticStr;
use tokio::time::Instant;

use crate::http_client::HttpClient;

pub use address::Address;
pub use country::{CONTINENTS, continent_of, is_country};
pub use lookup::{CountryFile, IpApi, Lookup, NotACountryFile};

/// A region id of Xata's, such as `eu-central-1`: lower-case letters, digits and hyphens, at most
/// 64.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

/// What is known of where a user is. Everything here comes from outside and may be anything.
#[derive(Debug, Default, Clone, Copy)]
pub struct Hints<'a> {
    /// The region that the user's metadata asks for, in order of authority.
    pub preferences: [(Reason, Option<&'a str>); 3],
    /// Address of the client that signed up.
    pub client_ip: Option<&'a str>,
    /// What software that client was.
    pub user_agent: Option<&'a str>,
}

/// The chosen region and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Where the database belongs.
    pub region: Region,
    /// What decided.
    pub reason: Reason,
}

/// What decided a placement.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// `private_metadata.db_region`.
    PrivateMetadata,
    /// `public_metadata.db_region`.
    PublicMetadata,
    /// `unsafe_metadata.db_region`.
    UnsafeMetadata,
    /// The country of the client's address, or its continent.
    Geo,
    /// Nothing better was known.
    #[default]
    Default,
}

/// Who is placed where. Built by [`settings`](crate::settings), which sees to it that every region
/// here is allowed.
#[derive(Debug)]
pub struct Policy {
    /// When nothing better is known.
    pub default: Region,
    /// By two-letter country code; wins over the continent.
    pub by_country: BTreeMap<String, Region>,
    /// By two-letter continent code.
    pub by_continent: BTreeMap<String, Region>,
    /// The only regions anyone is ever placed in.
    pub allowed: BTreeSet<Region>,
    /// How the country of an address is found.
    pub lookup: Lookup,
}

/// A placement, and what the log should say of how it came about.
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    /// The choice.
    pub placement: Placement,
    /// What kind of address the event gave; the address itself stays out of every log.
    pub address: Address,
    /// A preference was given that is not allowed, and passed over.
    pub preference_rejected: bool,
}

impl Policy {
    /// Chooses a region: always one that is allowed, always with a reason.
    /// `client` is used by [`Lookup::IpApi`] only, and until the given time.
    pub async fn place(&self, hints: &Hints<'_>, client: &HttpClient, until: Instant) -> Decision {
        let address = Address::classify(hints.client_ip, hints.user_agent);
        let mut preference_rejected = false;
        for (reason, wanted) in hints.preferences {
            let Some(wanted) = wanted else { continue };
            match Region::try_from(wanted.trim().to_lowercase().as_str()) {
                Ok(region) if self.allowed.contains(&region) => {
                    return Decision {
                        placement: Placement { region, reason },
                        address,
                        preference_rejected,
                    };
                }
                _ => preference_rejected = true,
            }
        }
        let country = match address.public() {
            Some(ip) => self.lookup.country(ip, client, until).await,
            None => None,
        };
        let placement = match country.and_then(|country| self.by_country(&country)) {
            Some(region) => Placement { region: region.clone(), reason: Reason::Geo },
            None => Placement { region: self.default.clone(), reason: Reason::Default },
        };
        Decision { placement, address, preference_rejected }
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

    fn policy() -> Policy {
        let (us, eu, nz) = (region("us-east-1"), region("eu-central-1"), region("ap-southeast-2"));
        Policy {
            default: us.clone(),
            by_country: [("NZ".to_owned(), nz.clone())].into(),
            by_continent: [("EU".to_owned(), eu.clone())].into(),
            allowed: [us, eu, nz].into(),
            lookup: Lookup::Offline,
        }
    }

    fn from_address(client_ip: &str) -> Hints<'_> {
        Hints { client_ip: Some(client_ip), ..Hints::default() }
    }

    /// Decides where nobody can be asked.
    fn decide(policy: &Policy, hints: &Hints<'_>) -> Decision {
        let nobody = http_client::boxed(tower::service_fn(|_| async {
            Err::<reqwest::Response, _>("no call may be made")
        }));
        let decision = policy.place(hints, &nobody, Instant::now());
        decision.now_or_never().expect("no wait")
    }

    fn place(policy: &Policy, hints: &Hints<'_>) -> (String, Reason) {
        let placement = decide(policy, hints).placement;
        (placement.region.to_string(), placement.reason)
    }

    #[test]
    fn a_country_wins_over_its_continent_and_the_default_is_last() {
        let policy = policy();
        assert_eq!(
            place(&policy, &from_address("84.200.69.80")),
            ("eu-central-1".to_owned(), Reason::Geo)
        );
        assert_eq!(
            place(&policy, &from_address("202.27.184.3")),
            ("ap-southeast-2".to_owned(), Reason::Geo)
        );
        assert_eq!(
            place(&policy, &from_address("8.8.8.8")),
            ("us-east-1".to_owned(), Reason::Default)
        );
        let germany_too =
            Policy { by_country: [("DE".to_owned(), region("us-east-1"))].into(), ..policy };
        assert_eq!(
            place(&germany_too, &from_address("84.200.69.80")),
            ("us-east-1".to_owned(), Reason::Geo)
        );
    }

    #[test]
    fn the_most_trusted_preference_that_is_allowed_wins() {
        let (private, public, r#unsafe) =
            (Reason::PrivateMetadata, Reason::PublicMetadata, Reason::UnsafeMetadata);
        let prefer = |first, second, third| {
            let preferences = [(private, first), (public, second), (r#unsafe, third)];
            decide(&policy(), &Hints { preferences, ..from_address("84.200.69.80") })
        };
        let cases = [
            (prefer(Some("us-east-1"), Some("eu-central-1"), None), "us-east-1", private, false),
            (
                prefer(None, Some(" AP-Southeast-2\n"), Some("us-east-1")),
                "ap-southeast-2",
                public,
                false,
            ),
            (prefer(Some("mars-north-1"), None, Some("us-east-1")), "us-east-1", r#unsafe, true),
            (prefer(None, None, Some("../../x")), "eu-central-1", Reason::Geo, true),
            (prefer(None, None, Some("")), "eu-central-1", Reason::Geo, true),
        ];
        for (decision, region, reason, rejected) in cases {
            assert_eq!(decision.placement.region.as_str(), region);
            assert_eq!(
                (decision.placement.reason, decision.preference_rejected),
                (reason, rejected)
            );
        }
    }

    #[test]
    fn no_address_is_looked_up_when_the_look_up_is_off() {
        let policy = Policy { lookup: Lookup::Off, ..policy() };
        assert_eq!(
            place(&policy, &from_address("84.200.69.80")),
            ("us-east-1".to_owned(), Reason::Default)
        );
    }

    #[test]
    fn an_address_that_is_not_the_users_is_not_looked_up() {
        let server =
            Hints { user_agent: Some("clerk/clerk-sdk-go@v3.0.0"), ..from_address("84.200.69.80") };
        assert_eq!(place(&policy(), &server).1, Reason::Default);
    }
}
