//! Where sign-ups come from, and where the regions are.

use serde::Serialize;
use serde_json::{Value, json};

/// A place, with an address of a public server there.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Place {
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    pub(super) ip: &'static str,
}

/// The addresses are those of public name servers, registries and universities.
pub(super) const PLACES: [Place; 14] = [
    place("berlin", "Berlin", "84.200.69.80"),
    place("london", "London", "212.58.244.70"),
    place("paris", "Paris", "192.134.0.49"),
    place("stockholm", "Stockholm", "192.36.148.17"),
    place("amsterdam", "Amsterdam, by IPv6", "2001:67c:2e8:22::c100:68b"),
    place("san-francisco", "San Francisco", "8.8.8.8"),
    place("toronto", "Toronto", "142.150.190.39"),
    place("sao-paulo", "São Paulo", "200.160.0.8"),
    place("johannesburg", "Johannesburg", "196.25.1.1"),
    place("mumbai", "Mumbai", "103.21.124.1"),
    place("tokyo", "Tokyo", "202.12.27.33"),
    place("sydney", "Sydney", "1.1.1.1"),
    place("wellington", "Wellington", "202.46.190.130"),
    place("office", "An office's own network", "192.168.1.20"),
];

const fn place(id: &'static str, label: &'static str, ip: &'static str) -> Place {
    Place { id, label, ip }
}

/// The place of an address, or the address.
pub(super) fn label(ip: &str) -> String {
    PLACES.iter().find(|it| it.ip == ip).map_or(ip, |it| it.label).to_owned()
}

/// The regions of Amazon and Google that Xata offers or has offered: city, longitude, latitude.
const REGIONS: [(&str, &str, f64, f64); 8] = [
    ("us-east-1", "Virginia", -77.5, 39.0),
    ("us-west-2", "Oregon", -119.7, 45.8),
    ("us-central1", "Iowa", -95.9, 41.3),
    ("eu-central-1", "Frankfurt", 8.7, 50.1),
    ("eu-west-1", "Ireland", -6.3, 53.3),
    ("ap-southeast-1", "Singapore", 103.8, 1.3),
    ("ap-southeast-2", "Sydney", 151.2, -33.9),
    ("ap-northeast-1", "Tokyo", 139.7, 35.7),
];

/// A region as the page shows it; without a position where it is unknown.
pub(super) fn region(id: &str) -> Value {
    let known = REGIONS.iter().find(|it| it.0 == id);
    let label = known.map_or(id, |it| it.1);
    let position = known.map(|it| (it.2, it.3)).unzip();
    json!({ "id": id, "label": label, "longitude": position.0, "latitude": position.1 })
}
