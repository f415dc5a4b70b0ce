//! The continent of each country: ISO 3166-1 codes, as GeoNames and MaxMind assign them, but for the
//! outermost regions of the European Union that have codes of their own (GF, GP, MF, MQ, RE, YT): the
//! Union's law holds there, its rules about personal data among it (Article 355 of the Treaty on the
//! Functioning of the European Union). `EU` among the countries is the internet registries' code for a
//! network in several European countries.

/// The continents by their two-letter codes, each with its countries.
pub const CONTINENTS: [(&str, &str); 7] = [
    (
        "AF",
        "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ \
         NA NE NG RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG ZA ZM ZW",
    ),
    ("AN", "AQ BV GS HM TF"),
    (
        "AS",
        "AE AF AM AZ BD BH BN BT CC CN CX GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY \
         NP OM PH PK PS QA SA SG SY TH TJ TM TR TW UZ VN YE",
    ),
    (
        "EU",
        "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES EU FI FO FR GB GF GG GI GP GR HR HU IE IM IS IT JE LI LT LU LV \
         MC MD ME MF MK MQ MT NL NO PL PT RE RO RS RU SE SI SJ SK SM UA VA XK YT",
    ),
    (
        "NA",
        "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GT HN HT JM KN KY LC MS MX NI PA PM PR SV SX \
         TC TT US VC VG VI",
    ),
    ("OC", "AS AU CK FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TL TO TV UM VU WF WS"),
    ("SA", "AR BO BR CL CO EC FK GY PE PY SR UY VE"),
];

/// The continent of a country.
pub fn continent_of(country: &str) -> Option<&'static str> {
    // Blanks stand between the codes, so two letters in a row are one code.
    let is_code = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
    let on = |countries: &str| is_code && countries.contains(country);
    CONTINENTS.iter().find(|(_, countries)| on(countries)).map(|&(continent, _)| continent)
}

/// Whether this is the code of a country.
pub fn is_country(code: &str) -> bool {
    continent_of(code).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_of_iso_3166_lies_on_one_continent() {
        let mut codes: Vec<_> = CONTINENTS
            .iter()
            .flat_map(|(_, countries)| countries.split_ascii_whitespace())
            .collect();
        let listed = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), listed, "a country is listed twice");
        // 249 codes of ISO 3166-1, Kosovo's user-assigned XK, and the registries' EU.
        assert_eq!(listed, 251);
        assert!(
            codes
                .iter()
                .all(|code| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()))
        );
    }

    #[test]
    fn the_outermost_regions_of_the_european_union_follow_europe() {
        for country in ["GF", "GP", "MF", "MQ", "RE", "YT"] {
            assert_eq!(continent_of(country), Some("EU"), "{country}");
        }
        // Saint Barthélemy left the Union in 2012.
        assert_eq!(continent_of("BL"), Some("NA"));
    }

    #[test]
    fn every_country_of_the_lookup_lies_on_a_continent() {
        // One address in each /16, of either protocol.
        for high in 0..=u16::MAX {
            let v4 = std::net::Ipv4Addr::from(u32::from(high) << 16 | 0x0101);
            let v6 = std::net::Ipv6Addr::from(u128::from(high) << 112);
            for country in
                [iptocc::country_code(v4), iptocc::country_code(v6)].into_iter().flatten()
            {
                assert!(is_country(country), "{country}");
            }
        }
    }
}
