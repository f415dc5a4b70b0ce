use std::collections::BTreeMap;

use super::*;
use crate::region::{CountryLookup, Region};
use crate::xata::ProjectId;
use crate::xata::platform::{self, Source};

/// The required settings.
const MINIMAL: [(&str, &str); 4] = [
    ("HOOKDECK_WEBHOOK_SECRET", "fake-signing-secret"),
    ("XATA_API_KEY", "xau_fake"),
    ("XATA_ORGANIZATION_ID", "org123"),
    ("XATA_PROJECT_ID", "prj_a"),
];

/// Reads the required settings with these changes.
fn read(changes: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let mut variables: BTreeMap<&str, &str> = MINIMAL.into();
    variables.extend(changes.iter().copied());
    Settings::read(variables.into_iter().map(|(name, value)| (name.into(), value.into())))
}

fn settings(changes: &[(&str, &str)]) -> Settings {
    read(changes).expect("valid settings")
}

fn platform(changes: &[(&str, &str)]) -> platform::Settings {
    match settings(changes).xata {
        Xata::Platform(platform) => platform,
        Xata::Lite(_) => panic!("Xata Lite"),
    }
}

fn error(changes: &[(&str, &str)]) -> String {
    read(changes).expect_err("invalid settings").to_string()
}

fn regions<'a>(map: impl IntoIterator<Item = (&'a String, &'a Region)>) -> String {
    let pairs = map.into_iter().map(|(code, region)| format!("{code}={region}"));
    pairs.collect::<Vec<_>>().join(",")
}

#[test]
fn the_required_settings_have_the_documented_defaults() {
    let settings = settings(&[]);
    assert_eq!(settings.policy.default.as_str(), "us-east-1");
    assert_eq!(regions(&settings.policy.by_continent), "EU=eu-central-1");
    assert!(matches!(settings.policy.lookup, CountryLookup::Offline));
    let platform = platform(&[]);
    assert_eq!(platform.url, "https://api.xata.tech");
    assert_eq!(platform.scale_to_zero_minutes, Some(30));
    assert!(matches!(
        platform.source,
        Source::Root { image, instance_type } if image == "postgresql:17" && instance_type == "xata.micro"
    ));
    assert_eq!(settings.instances, Instances::Any);
    assert_eq!(settings.log_level, LevelFilter::INFO);
    assert_eq!(settings.warnings, [""; 0]);
}

#[test]
fn an_empty_optional_value_counts_as_not_set() {
    let empty: Vec<_> = VARIABLES
        .iter()
        .filter(|name| !MINIMAL.iter().any(|(required, _)| required == *name))
        .map(|&name| (name, " "))
        .collect();
    assert_eq!(settings(&empty).policy.default.as_str(), "us-east-1");
}

#[test]
fn every_setting_can_be_changed() {
    let changes = [
        ("HOOKDECK_WEBHOOK_SECRET", "new,old"),
        ("HOOKDECK_HEADER_PREFIX", "X-Acme"),
        ("REQUIRE_SOURCE_VERIFIED", "true"),
        ("XATA_API_URL", "http://127.0.0.1:9100/"),
        ("XATA_PROJECT_ID", "prj_a, prj_b"),
        (
            "XATA_TEMPLATES",
            "prj_a/eu-central-1=t1, prj_a/us-east-1=t2,prj_b/eu-central-1=t3,prj_b/us-east-1=t4",
        ),
        ("XATA_SCALE_TO_ZERO_MINUTES", "off"),
        ("DEFAULT_REGION", "eu-central-1"),
        ("REGION_BY_CONTINENT", "na=us-east-1, SA = us-east-1"),
        ("REGION_BY_COUNTRY", "ca=eu-central-1"),
        ("ALLOWED_REGIONS", "us-east-1,eu-central-1"),
        ("GEO_LOOKUP", "off"),
        ("ON_USER_DELETED", "park"),
        ("SVIX_CHECK", "off"),
        ("CLERK_INSTANCE_ID", "ins_a,ins_b"),
        ("LOG_LEVEL", "debug"),
    ];
    let (settings, platform) = (settings(&changes), platform(&changes));
    assert_eq!(platform.url, "http://127.0.0.1:9100");
    assert_eq!(platform.scale_to_zero_minutes, None);
    assert!(matches!(platform.source, Source::Templates(templates) if templates.len() == 4));
    assert_eq!(settings.policy.default.as_str(), "eu-central-1");
    assert_eq!(regions(&settings.policy.by_continent), "NA=us-east-1,SA=us-east-1");
    assert_eq!(regions(&settings.policy.by_country), "CA=eu-central-1");
    assert!(matches!(settings.policy.lookup, CountryLookup::Off));
    assert_eq!(settings.instances, Instances::Only(vec!["ins_a".into(), "ins_b".into()]));
    assert_eq!(settings.log_level, LevelFilter::DEBUG);
    assert_eq!(settings.warnings, [""; 0]);
}

#[test]
fn the_allowed_regions_are_those_of_the_other_settings_by_default() {
    let allowed = |changes: &[(&str, &str)]| {
        let settings = settings(changes);
        settings.policy.allowed.iter().map(Region::to_string).collect::<Vec<_>>().join(",")
    };
    assert_eq!(allowed(&[]), "eu-central-1,us-east-1");
    assert_eq!(
        allowed(&[
            ("DEFAULT_REGION", "a"),
            ("REGION_BY_COUNTRY", "NZ=b"),
            ("REGION_BY_CONTINENT", "AF=c")
        ]),
        "a,b,c"
    );
    assert_eq!(allowed(&[("ALLOWED_REGIONS", "us-east-1,x")]), "us-east-1,x");
}

#[test]
fn a_default_of_a_region_that_is_not_allowed_is_dropped_and_a_setting_stops_the_start() {
    let only_us = ("ALLOWED_REGIONS", "us-east-1");
    assert_eq!(regions(&settings(&[only_us]).policy.by_continent), "");
    for (name, value) in [
        ("DEFAULT_REGION", "eu-central-1"),
        ("REGION_BY_CONTINENT", "EU=eu-central-1"),
        ("REGION_BY_COUNTRY", "DE=eu-central-1"),
    ] {
        let problem = "places users in eu-central-1, which ALLOWED_REGIONS does not contain";
        assert_eq!(error(&[only_us, (name, value)]), format!("{name} {problem}"));
    }
    // The built-in DEFAULT_REGION stops the start, too.
    assert_eq!(
        error(&[("ALLOWED_REGIONS", "eu-central-1")]),
        "DEFAULT_REGION places users in us-east-1, which ALLOWED_REGIONS does not contain"
    );
}

#[test]
fn a_required_setting_that_is_missing_or_empty_is_named() {
    for (name, _) in MINIMAL {
        let others = MINIMAL.into_iter().filter(|(other, _)| *other != name);
        let missing = Settings::read(others.map(|(name, value)| (name.into(), value.into())));
        let missing = missing.expect_err("a variable is missing").to_string();
        assert!(missing.starts_with(&format!("{name} is missing")), "{missing}");
        let empty = error(&[(name, "")]);
        assert!(empty.starts_with(name), "{empty}");
    }
}

#[test]
fn an_invalid_value_is_named_and_not_quoted() {
    let secret = "xau_looks_like_a_secret";
    for (name, value) in [
        ("HOOKDECK_WEBHOOK_SECRET", " xau_looks_like_a_secret"),
        ("HOOKDECK_WEBHOOK_SECRET", "xau_looks_like_a_secret,"),
        ("HOOKDECK_WEBHOOK_SECRET", "a,,xau_looks_like_a_secret"),
        ("HOOKDECK_HEADER_PREFIX", secret),
        ("REQUIRE_SOURCE_VERIFIED", secret),
        ("XATA_API_KEY", "xau_looks_like_a_secret\n"),
        ("XATA_API_KEY", "xau looks_like_a_secret"),
        ("XATA_API_URL", secret),
        ("XATA_API_URL", "http://xau_looks_like_a_secret.example.com"),
        ("XATA_API_URL", "https://user:xau_looks_like_a_secret@example.com"),
        ("XATA_API_URL", "ftp://127.0.0.1"),
        ("XATA_ORGANIZATION_ID", "xau_looks_like_a_secret/.."),
        ("XATA_PROJECT_ID", "prj_a,xau_looks_like_a_secret/.."),
        ("XATA_PROJECT_ID", "prj_a,prj_a"),
        ("XATA_TEMPLATES", secret),
        ("XATA_TEMPLATES", "xau_looks_like_a_secret=t"),
        ("XATA_TEMPLATES", "other/us-east-1=t"),
        ("XATA_SCALE_TO_ZERO_MINUTES", "0"),
        ("XATA_SCALE_TO_ZERO_MINUTES", "1441"),
        ("XATA_SCALE_TO_ZERO_MINUTES", secret),
        ("DEFAULT_REGION", secret),
        ("ALLOWED_REGIONS", secret),
        ("ALLOWED_REGIONS", "us-east-1,,eu-central-1"),
        ("REGION_BY_CONTINENT", "EUROPE=eu-central-1"),
        ("REGION_BY_CONTINENT", "EU=eu-central-1,eu=us-east-1"),
        ("REGION_BY_COUNTRY", "UK=eu-central-1"),
        ("REGION_BY_COUNTRY", "DE:eu-central-1"),
        ("GEO_LOOKUP", secret),
        ("ON_USER_DELETED", secret),
        ("CLERK_INSTANCE_ID", "ins_a,"),
        ("CLERK_INSTANCE_ID", "\"ins_a\""),
        ("CLERK_INSTANCE_ID", "app_a"),
        ("CLERK_INSTANCE_ID", "production"),
        ("CLERK_INSTANCE_ID", "ins_"),
        ("CLERK_INSTANCE_ID", "ins_a ins_b"),
        ("CLERK_INSTANCE_ID", "ins_a,sk_live_looks_like_a_secret"),
        ("LOG_LEVEL", secret),
    ] {
        let line = error(&[(name, value)]);
        assert!(line.starts_with(&format!("{name} ")), "{name}={value}: {line}");
        assert!(!line.contains("looks_like_a_secret"), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}

#[test]
fn in_a_container_of_sam_local_a_url_may_name_the_machine_around_it() {
    let url = ("XATA_API_URL", "http://host.docker.internal:9100");
    assert_eq!(platform(&[url, ("AWS_SAM_LOCAL", "true")]).url, url.1);
    let elsewhere = [url, ("AWS_SAM_LOCAL", "false")];
    for changes in [&elsewhere[..1], &elsewhere] {
        assert!(error(changes).starts_with("XATA_API_URL must be"));
    }
    let other = ("XATA_API_URL", "http://other.docker.internal");
    assert!(error(&[other, ("AWS_SAM_LOCAL", "true")]).starts_with("XATA_API_URL must be"));
}

#[test]
fn a_url_is_https_or_http_of_a_loopback_address() {
    for url in [
        "https://xata.example.com/base",
        "http://localhost:1",
        "http://127.9.9.9",
        "http://[::1]:8080",
    ] {
        assert_eq!(platform(&[("XATA_API_URL", url)]).url, url);
    }
    for url in [
        "http://10.0.0.1",
        "http://localhost.example.com",
        "//localhost",
        "https://",
        "https://x/?key=1",
        "https://x/#base",
        "https://x:99999",
        "https://x:port",
        "https://user:pass/word@example.com",
        "https://x{y}",
        "http://[::1].example.com",
    ] {
        assert!(error(&[("XATA_API_URL", url)]).starts_with("XATA_API_URL must be"), "{url}");
    }
}

#[test]
fn templates_must_cover_each_allowed_region_in_each_project() {
    let two = ("XATA_PROJECT_ID", "prj_a,prj_b");
    let all_but_one = "prj_a/us-east-1=t1,prj_a/eu-central-1=t2,prj_b/us-east-1=t3";
    assert_eq!(
        error(&[two, ("XATA_TEMPLATES", all_but_one)]),
        "XATA_TEMPLATES has no template for eu-central-1 in prj_b, where users can be placed"
    );
    let short = error(&[two, ("XATA_TEMPLATES", "us-east-1=t1,eu-central-1=t2")]);
    assert_eq!(
        short,
        "XATA_TEMPLATES entry 1 must be project/region=id, as there are several projects"
    );
    let twice = error(&[("XATA_TEMPLATES", "us-east-1=t1,prj_a/us-east-1=t2,eu-central-1=t3")]);
    assert_eq!(twice, "XATA_TEMPLATES entry 2 is a second template for its project and region");
}

#[test]
fn a_setting_without_effect_causes_a_warning() {
    let settings = settings(&[
        ("XATA_APIKEY", "x"),
        ("HOOKDECK_SECRET", "x"),
        ("HOOKDECK_API_KEY", "belongs to ops"),
        ("PATH", "no setting"),
        ("XATA_TEMPLATES", "us-east-1=t1,eu-central-1=t2,ap-southeast-2=t3"),
        ("XATA_IMAGE", "postgres:17.10"),
    ]);
    let named: Vec<_> =
        settings.warnings.iter().map(|it| it.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(named, ["HOOKDECK_SECRET", "XATA_APIKEY", "XATA_TEMPLATES", "XATA_IMAGE"]);
}

#[test]
fn a_secret_setting_can_be_in_the_secret_or_in_a_variable_but_not_in_both() {
    let variables = |names: &[&str]| {
        let given = MINIMAL.into_iter().filter(|(name, _)| names.contains(name));
        given.map(|(name, value)| (name.into(), value.into())).collect::<Vec<_>>()
    };
    let members = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let ids = ["XATA_ORGANIZATION_ID", "XATA_PROJECT_ID"];
    let secret = members(&[
        ("HOOKDECK_WEBHOOK_SECRET", "a,b"),
        ("XATA_API_KEY", "xau_fake"),
        ("CLERK_SECRET_KEY", "sk_test_fake"),
        ("XATA_PROJECT_ID", "prj_b"),
    ]);
    let settings = Settings::read_with(variables(&ids), &secret).expect("valid settings");
    assert!(settings.clerk.is_some());
    let projects: Vec<_> = settings.projects.iter().map(ProjectId::as_str).collect();
    assert_eq!(projects, ["prj_a"], "the secret has secret settings only");
    assert_eq!(settings.warnings, ["XATA_PROJECT_ID has no effect as a member of the secret"]);

    let both = Settings::read_with(variables(&[&ids[..], &["XATA_API_KEY"]].concat()), &secret);
    let both = both.expect_err("two keys").to_string();
    assert!(both.starts_with("XATA_API_KEY is given twice"), "{both}");
    let neither = Settings::read_with(variables(&ids), &members(&[("XATA_API_KEY", "")]));
    assert_eq!(neither.expect_err("none").to_string(), "HOOKDECK_WEBHOOK_SECRET is missing");
}

#[test]
fn the_settings_of_the_secrets_are_read_from_lambda_s_variables() {
    let read = |changes: &[(&str, &str)]| {
        let mut variables = BTreeMap::from([
            ("SECRETS_ID", "per-user-db"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAFAKE"),
            ("AWS_SECRET_ACCESS_KEY", "fake"),
        ]);
        variables.extend(changes.iter().copied());
        secrets(variables.into_iter().map(|(name, value)| (name.into(), value.into())))
    };
    assert!(read(&[("SECRETS_ID", "")]).expect("no secret").is_none());
    let url = |changes: &[_]| read(changes).expect("valid settings").expect("a secret").url;
    assert_eq!(url(&[]), "https://secretsmanager.eu-central-1.amazonaws.com");
    assert_eq!(
        url(&[("AWS_REGION", "cn-north-1")]),
        "https://secretsmanager.cn-north-1.amazonaws.com.cn"
    );
    let (general, specific) = ("http://localhost:1", "http://localhost:2");
    assert_eq!(url(&[("AWS_ENDPOINT_URL", general)]), general);
    let both = [("AWS_ENDPOINT_URL", general), ("AWS_ENDPOINT_URL_SECRETS_MANAGER", specific)];
    assert_eq!(url(&both), specific);
    for (name, value) in [
        ("AWS_REGION", ""),
        ("AWS_REGION", "eu/central"),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", "with blank"),
        ("AWS_ENDPOINT_URL", "http://10.0.0.1"),
    ] {
        assert_eq!(read(&[(name, value)]).expect_err("a bad value").variable, name, "{value}");
    }
    let shown = format!("{:?}", read(&[("AWS_SECRET_ACCESS_KEY", "s3cret")]));
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn on_user_deleted_has_three_values_of_which_lite_accepts_one() {
    for (value, choice) in [
        ("retain", OnUserDeleted::Retain),
        ("park", OnUserDeleted::Park),
        ("delete", OnUserDeleted::Delete),
    ] {
        assert_eq!(settings(&[("ON_USER_DELETED", value)]).on_user_deleted, choice);
    }
    let unknown = "ON_USER_DELETED must be retain, park or delete";
    assert_eq!(error(&[("ON_USER_DELETED", "Delete")]), unknown);
    for value in ["park", "delete"] {
        let problem = error(&[&LITE[..], &[("ON_USER_DELETED", value)]].concat());
        assert!(problem.starts_with("ON_USER_DELETED must be retain with Xata Lite"), "{problem}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_in_known_variables_only() {
    use std::os::unix::ffi::OsStringExt;
    let read_with = |name: &str| {
        let minimal = MINIMAL.map(|(name, value)| (name.into(), value.into()));
        Settings::read(minimal.into_iter().chain([(name.into(), OsString::from_vec(vec![0xff]))]))
    };
    assert!(read_with("UNKNOWN").is_ok());
    assert_eq!(read_with("LOG_LEVEL").expect_err("not text").to_string(), "LOG_LEVEL is not UTF-8");
}

#[test]
fn debug_output_has_no_secret() {
    let shown = format!(
        "{:?}",
        settings(&[("HOOKDECK_WEBHOOK_SECRET", "s3cret-a,s3cret-b"), ("XATA_API_KEY", "s3cret-c")])
    );
    assert!(!shown.contains("s3cret"), "{shown}");
}

const LITE: [(&str, &str); 5] = [
    ("XATA_ORGANIZATION_ID", ""),
    ("XATA_PROJECT_ID", ""),
    ("XATA_WORKSPACE_SLUG", "tutorial-abc123"),
    ("XATA_API_URL", "https://lite.example.com"),
    ("XATA_API_KEY", "xau_fake"),
];

#[test]
fn with_a_workspace_xata_lite_is_used_with_the_tutorial_s_regions() {
    for name in ["XATA_WORKSPACE_SLUG", "XATA_WORKSPACE_ID"] {
        let settings =
            settings(&[&LITE[..], &[("XATA_WORKSPACE_SLUG", ""), (name, "abc123")]].concat());
        assert!(matches!(settings.xata, Xata::Lite(_)));
        let by_continent = regions(&settings.policy.by_continent);
        assert_eq!(by_continent, "EU=eu-west-1,OC=ap-southeast-2");
        assert_eq!(settings.policy.default.as_str(), "us-east-1");
        assert!(settings.warnings[0].contains("retired on 2026-02-28"), "{:?}", settings.warnings);
    }
}

#[test]
fn xata_lite_needs_a_url_and_a_workspace_and_no_setting_of_the_platform() {
    let error_with = |name, value| error(&[&LITE[..], &[(name, value)]].concat());
    let tutorial = [("XATA_WORKSPACE_ID", "abc123"), ("XATA_API_URL", "")];
    let problem = error(&[&LITE[..], &tutorial].concat());
    assert!(
        problem.starts_with("XATA_WORKSPACE_SLUG chooses Xata Lite, the tutorial"),
        "{problem}"
    );
    assert!(problem.contains("docs/from-the-tutorial.md"), "{problem}");
    for workspace in ["short", "abc1234", "slug-abc12", "../abc123", "a/b-abc123"] {
        let line = error_with("XATA_WORKSPACE_SLUG", workspace);
        assert!(line.starts_with("XATA_WORKSPACE_SLUG is no workspace id"), "{workspace}: {line}");
    }
    for other in ["XATA_ORGANIZATION_ID", "XATA_PROJECT_ID"] {
        let line = error_with(other, "x");
        assert!(line.contains(other) && line.ends_with("unset one"), "{line}");
    }
    assert!(error_with("XATA_WORKSPACE_ID", "abc123").ends_with("unset one"));
    let warned = settings(&[&LITE[..], &[("XATA_TEMPLATES", "a=b")]].concat()).warnings;
    assert!(warned[1].starts_with("XATA_TEMPLATES has no effect"), "{warned:?}");
}

#[test]
fn a_setting_of_another_country_lookup_causes_a_warning() {
    let warned = |changes: &[(&str, &str)]| settings(changes).warnings.join("; ");
    let no_effect = "has no effect with the other settings";
    assert_eq!(warned(&[("IP_API_KEY", "k")]), format!("IP_API_KEY {no_effect}"));
    let off = warned(&[("GEO_LOOKUP", "off"), ("GEOIP_DATABASE", "/no/such/file")]);
    assert_eq!(off, format!("GEOIP_DATABASE {no_effect}"));
}

#[test]
fn a_clerk_key_is_a_secret_key_and_is_sent_to_clerk_s_api_by_default() {
    assert!(settings(&[]).clerk.is_none());
    let key = ("CLERK_SECRET_KEY", "sk_test_fake");
    let clerk = settings(&[key]).clerk.expect("Clerk's settings");
    assert_eq!(clerk.url, "https://api.clerk.com/v1");
    let other = settings(&[key, ("CLERK_API_URL", "http://localhost:1/v1/")]).clerk;
    assert_eq!(other.expect("Clerk's settings").url, "http://localhost:1/v1");
    for (value, problem) in [
        ("pk_test_publishable", "is no secret key of Clerk's: they begin with sk_"),
        ("sk_test fake", "has a blank, or a character that no key has"),
    ] {
        assert_eq!(error(&[("CLERK_SECRET_KEY", value)]), format!("CLERK_SECRET_KEY {problem}"));
    }
    let alone = settings(&[("CLERK_API_URL", "http://localhost:1/v1")]).warnings;
    assert_eq!(alone, ["CLERK_API_URL has no effect with the other settings"]);
}

#[test]
fn log_level_wins_over_lambda_s_level_which_can_be_in_capitals() {
    let level = |changes: &[(&str, &str)]| settings(changes).log_level;
    for (lambda_level, expected) in [
        ("TRACE", LevelFilter::TRACE),
        ("DEBUG", LevelFilter::DEBUG),
        ("debug", LevelFilter::DEBUG),
        ("INFO", LevelFilter::INFO),
        ("WARN", LevelFilter::WARN),
        ("ERROR", LevelFilter::ERROR),
        ("FATAL", LevelFilter::ERROR),
        // Unknown values are ignored.
        ("VERBOSE", LevelFilter::INFO),
        ("", LevelFilter::INFO),
    ] {
        let lambda_level = ("AWS_LAMBDA_LOG_LEVEL", lambda_level);
        assert_eq!(level(&[lambda_level]), expected, "{lambda_level:?}");
        assert_eq!(level(&[lambda_level, ("LOG_LEVEL", "")]), expected, "{lambda_level:?}");
        assert_eq!(level(&[lambda_level, ("LOG_LEVEL", "warn")]), LevelFilter::WARN);
        assert_eq!(settings(&[lambda_level]).warnings, [""; 0], "{lambda_level:?}");
    }
}
