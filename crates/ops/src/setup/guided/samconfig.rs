//! samconfig.toml: the parameters of the deployment that are settings, and the architecture that
//! `sam build` compiles for. `sam` reads a list of `Name=value`, one line of them, or a table.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use anyhow::{Context, Result, anyhow};
use per_user_db::settings::SVIX_SECRET;
use serde::Serialize;
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value};

/// The settings that are parameters of the stack, if they are set.
const SETTINGS: [&str; 16] = [
    "XATA_ORGANIZATION_ID",
    "XATA_PROJECT_ID",
    "XATA_TEMPLATES",
    "XATA_IMAGE",
    "XATA_INSTANCE_TYPE",
    "XATA_SCALE_TO_ZERO_MINUTES",
    "DEFAULT_REGION",
    "REGION_BY_CONTINENT",
    "REGION_BY_COUNTRY",
    "ALLOWED_REGIONS",
    "GEO_LOOKUP",
    "CLERK_INSTANCE_ID",
    "ON_USER_DELETED",
    SVIX_CHECK,
    "HOOKDECK_HEADER_PREFIX",
    "REQUIRE_SOURCE_VERIFIED",
];

const SVIX_CHECK: &str = "SVIX_CHECK";
const ARCHITECTURE: &str = "Architecture";

/// A parameter that differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    /// `build` or `deploy`.
    pub(super) command: &'static str,
    pub(super) parameter: String,
    pub(super) before: Option<String>,
    pub(super) after: String,
}

/// The text with the parameters of these settings, and what differs. Everything else stays as it is.
pub(super) fn with_parameters(
    text: &str,
    settings: &BTreeMap<String, String>,
) -> Result<(String, Vec<Change>)> {
    let mut document: DocumentMut = text.parse().context("samconfig.toml cannot be read")?;
    let mut changes = Vec::new();
    // With it, the function does not start before its secret has Clerk's signing secret.
    let is_early =
        |name| name == SVIX_CHECK && !SVIX_SECRET.iter().any(|it| settings.contains_key(*it));
    let given = SETTINGS.into_iter().filter(|name| !is_early(*name));
    let given = given.filter_map(|name| Some((name, settings.get(name)?)));
    let mut desired: Vec<_> =
        given.map(|(name, value)| (parameter(name), value.trim().to_owned())).collect();
    let deploy = overrides(&mut document, "deploy")?;
    let architecture = read(deploy)?
        .remove(ARCHITECTURE)
        .unwrap_or_else(|| if ARCH == "x86_64" { "x86_64" } else { "arm64" }.to_owned());
    let architecture = (ARCHITECTURE.to_owned(), architecture);
    desired.push(architecture.clone());
    update(deploy, "deploy", &desired, &mut changes)?;
    update(overrides(&mut document, "build")?, "build", &[architecture], &mut changes)?;
    Ok((document.to_string(), changes))
}

/// The parameter of a setting: `XataProjectId` of `XATA_PROJECT_ID`.
fn parameter(setting: &str) -> String {
    let words = setting.split('_').map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_owned() + &rest.to_ascii_lowercase()
    });
    words.collect()
}

/// The parameters of a command.
fn overrides<'a>(document: &'a mut DocumentMut, command: &str) -> Result<&'a mut Item> {
    let mut item = document.as_item_mut();
    for name in ["default", command, "parameters"] {
        let mut new = Table::new();
        new.set_implicit(name != "parameters");
        item = table(item)?.entry(name).or_insert(Item::Table(new));
    }
    Ok(table(item)?.entry("parameter_overrides").or_insert(Item::None))
}

fn table(item: &mut Item) -> Result<&mut dyn TableLike> {
    let problem = "samconfig.toml: default, deploy, build and parameters must be tables";
    item.as_table_like_mut().ok_or_else(|| anyhow!(problem))
}

/// The parameters that are given.
fn read(item: &Item) -> Result<BTreeMap<String, String>> {
    if let Some(table) = item.as_table_like() {
        let text = |item: &Item| match item.as_str() {
            Some(text) => text.to_owned(),
            None => item.to_string().trim().to_owned(),
        };
        return Ok(table.iter().map(|(name, item)| (name.to_owned(), text(item))).collect());
    }
    let lines: Vec<_> = match item {
        Item::Value(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        item => item.as_str().into_iter().collect(),
    };
    Ok(lines.into_iter().map(split).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// The parameters in a line, as `sam` reads it: separated by blanks, with quotes.
fn split(line: &str) -> Result<Vec<(String, String)>> {
    let words = shell_words::split(line)
        .map_err(|_| anyhow!("samconfig.toml: a quote is missing in parameter_overrides"))?;
    let pairs = words.iter().map(|word| match word.strip_prefix("ParameterKey=") {
        Some(word) => word.split_once(",ParameterValue="),
        None => word.split_once('='),
    });
    let pairs = pairs.map(|pair| {
        let (name, value) =
            pair.context("samconfig.toml: parameter_overrides must be Name=value")?;
        Ok((name.to_owned(), value.to_owned()))
    });
    pairs.collect()
}

/// A parameter in a list, as `sam` reads it.
fn join(name: &str, value: &str) -> String {
    if value.contains([' ', '"', '\'', '\t']) {
        format!("{name}=\"{}\"", value.replace('"', "\\\""))
    } else {
        format!("{name}={value}")
    }
}

fn update(
    item: &mut Item,
    command: &'static str,
    desired: &[(String, String)],
    changes: &mut Vec<Change>,
) -> Result<()> {
    let actual = read(item)?;
    let differing: Vec<_> =
        desired.iter().filter(|(name, value)| actual.get(name) != Some(value)).collect();
    if differing.is_empty() {
        return Ok(());
    }
    if let Some(line) = item.as_str() {
        let parameters = split(line)?;
        *item = Item::Value(Value::Array(
            parameters.iter().map(|(name, value)| join(name, value)).collect(),
        ));
    }
    if item.is_none() {
        *item = Item::Value(Value::Array(Array::new()));
    }
    for (name, value) in differing {
        if let Item::Value(Value::Array(list)) = item {
            set(list, name, value)?;
        } else {
            table(item)?.insert(name, value.as_str().into());
        }
        changes.push(Change {
            command,
            parameter: name.clone(),
            before: actual.get(name).cloned(),
            after: value.clone(),
        });
    }
    if let Item::Value(Value::Array(list)) = item {
        let is_one_line = |it: &Value| {
            !it.decor().prefix().and_then(|it| it.as_str()).is_some_and(|it| it.contains('\n'))
        };
        for value in list.iter_mut().filter(|it| is_one_line(it)) {
            value.decor_mut().set_prefix("\n    ");
        }
        list.set_trailing_comma(true);
        if !list.trailing().as_str().is_some_and(|it| it.contains('\n')) {
            list.set_trailing("\n");
        }
    }
    Ok(())
}

/// Replaces a parameter in a list, or adds it.
fn set(list: &mut Array, name: &str, value: &str) -> Result<()> {
    for entry in list.iter_mut() {
        let mut parameters = entry.as_str().map(split).transpose()?.unwrap_or_default();
        let Some(own) = parameters.iter_mut().find(|(own, _)| own == name) else { continue };
        value.clone_into(&mut own.1);
        let joined: Vec<_> = parameters.iter().map(|(name, value)| join(name, value)).collect();
        let decor = entry.decor().clone();
        *entry = joined.join(" ").into();
        *entry.decor_mut() = decor;
        return Ok(());
    }
    list.push(join(name, value));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(given: &[(&str, &str)]) -> BTreeMap<String, String> {
        given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn changed(text: &str, given: &[(&str, &str)]) -> String {
        let (after, changes) = with_parameters(text, &settings(given)).expect(text);
        assert!(!changes.is_empty(), "{after}");
        let again = with_parameters(&after, &settings(given)).expect(&after);
        assert_eq!(again, (after.clone(), Vec::new()), "a second time changes nothing");
        after
    }

    #[test]
    fn each_setting_is_a_parameter_of_the_template() {
        let template = include_str!("../../../../../template.yaml");
        for setting in SETTINGS {
            let parameter = parameter(setting);
            assert!(template.contains(&format!("\n  {parameter}:\n    Type: ")), "{parameter}");
            assert!(template.contains(&format!(" {setting}: !Ref {parameter}\n")), "{setting}");
        }
    }

    #[test]
    fn comments_and_everything_else_stay() {
        let text = include_str!("../../../../../samconfig.toml");
        let after = changed(text, &[("XATA_TEMPLATES", "eu-central-1=a,us-east-1=b")]);
        let mut lines = after.lines();
        for line in text.lines() {
            assert!(lines.any(|it| it == line), "{line}: {after}");
        }
        assert!(after.contains("    \"XataTemplates=eu-central-1=a,us-east-1=b\",\n"), "{after}");
    }

    #[test]
    fn a_list_a_line_and_a_table_are_changed_where_they_are() {
        let given = [("XATA_PROJECT_ID", "prj_new"), ("REGION_BY_CONTINENT", "EU = a, AS = b")];
        let list = "[default.deploy.parameters]\nparameter_overrides = [\n  # mine\n  \"LogLevel=debug\",\n  \"XataProjectId=prj_old\", # old\n  \"Architecture=x86_64\",\n]\n";
        let after = changed(list, &given);
        for part in [
            "  # mine\n  \"LogLevel=debug\",\n  \"XataProjectId=prj_new\", # old\n",
            "'RegionByContinent=\"EU = a, AS = b\"',\n",
            "[default.build.parameters]\nparameter_overrides = [\n    \"Architecture=x86_64\",\n]\n",
        ] {
            assert!(after.contains(part), "{part}: {after}");
        }
        let line = "[default.deploy.parameters]\nparameter_overrides = 'ParameterKey=LogLevel,ParameterValue=debug XataProjectId=\"prj_old\" SecretArn=\"a b\"'\n";
        let after = changed(line, &given);
        for part in ["\"LogLevel=debug\"", "\"XataProjectId=prj_new\"", "'SecretArn=\"a b\"'"] {
            assert!(after.contains(part), "{part}: {after}");
        }
        let table = "[default.deploy.parameters.parameter_overrides]\nXataProjectId = \"prj_old\"\nMemorySize = 512\n";
        let after = changed(table, &given);
        for part in ["XataProjectId = \"prj_new\"", "MemorySize = 512", "= \"EU = a, AS = b\""] {
            assert!(after.contains(part), "{part}: {after}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in [
            "[default",
            "default = 1",
            "[default.deploy.parameters]\nparameter_overrides = \"word\"",
            "[default.deploy.parameters]\nparameter_overrides = [\"A='b\"]",
        ] {
            assert!(with_parameters(text, &BTreeMap::new()).is_err(), "{text}");
        }
    }
}
