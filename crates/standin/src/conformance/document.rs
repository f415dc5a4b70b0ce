//! Reads a document, and finds the operation of a request.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::{env, fs};

use http::{Method, Uri};
use jsonschema::{Registry, Validator};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Value, json};

use super::schema;

const DIRECTORY: &str = "../../../shared/contracts/openapi";
/// Names another directory, which then has to exist.
const VARIABLE: &str = "CONTRACTS_OPENAPI";
/// The name under which a document's parts refer to each other.
const BASE: &str = "openapi:/document";

/// An OpenAPI 3.0 document.
#[derive(Debug)]
pub struct Specification {
    document: Value,
    /// What the server's address adds before the paths.
    base: String,
    registry: Registry<'static>,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// The operation of a request.
pub(super) struct Operation<'a> {
    pub(super) name: &'a str,
    /// Where it is in the document.
    pub(super) pointer: String,
    /// Its path's parameters and their values as they stand in the path.
    pub(super) parameters: Vec<(&'a str, &'a str)>,
}

/// Why nothing can be validated; `None` if the documents are available.
///
/// # Panics
///
/// If `CONTRACTS_OPENAPI` names a directory that does not exist.
pub fn unavailable() -> Option<String> {
    let directory = directory();
    if directory.is_dir() {
        return None;
    }
    let why = format!(
        "the vendors' OpenAPI documents are missing: {} is no directory; {VARIABLE} may name another",
        directory.display()
    );
    assert!(env::var_os(VARIABLE).is_none(), "{why}");
    Some(why)
}

fn directory() -> PathBuf {
    env::var_os(VARIABLE)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(DIRECTORY), PathBuf::from)
}

impl Specification {
    /// The document of Xata's platform. `None` without the documents; the first call says so on
    /// standard error.
    ///
    /// # Panics
    ///
    /// As [`unavailable`] does, and if the document exists but cannot be read.
    pub fn xata_platform() -> Option<&'static Self> {
        Self::xata().into_iter().next()
    }

    /// All documents of Xata's platform: of the platform itself and of its organizations. Empty without the documents.
    ///
    /// # Panics
    ///
    /// Likewise.
    pub fn xata() -> Vec<&'static Self> {
        static DOCUMENTS: OnceLock<Vec<Specification>> = OnceLock::new();
        const FILES: [&str; 2] = ["xata-projects.yaml", "xata-auth.yaml"];
        let find = || FILES.into_iter().filter_map(|file| Self::find(file, |it| it)).collect();
        DOCUMENTS.get_or_init(find).iter().collect()
    }

    /// The document of Clerk's Backend API, likewise.
    ///
    /// # Panics
    ///
    /// Likewise.
    pub fn clerk_backend() -> Option<&'static Self> {
        static DOCUMENT: OnceLock<Option<Specification>> = OnceLock::new();
        DOCUMENT.get_or_init(|| Self::find("clerk-bapi.yaml", |it| it)).as_ref()
    }

    /// The document of Hookdeck's admin API, likewise. Some of its `oneOf` forbid all members, so no
    /// value could be valid; they are read as if they forbade none.
    ///
    /// # Panics
    ///
    /// Likewise.
    pub fn hookdeck_admin() -> Option<&'static Self> {
        static DOCUMENT: OnceLock<Option<Specification>> = OnceLock::new();
        let find = || Self::find("hookdeck-2026-09-01-subset.json", schema::with_open_choices);
        DOCUMENT.get_or_init(find).as_ref()
    }

    /// Reads a document, corrected by `correct`.
    fn find(file: &str, correct: fn(Value) -> Value) -> Option<Self> {
        if let Some(why) = unavailable() {
            // `eprintln!` is captured in a test that passes; standard error itself is not.
            let _ = writeln!(std::io::stderr(), "skipped: {why}");
            return None;
        }
        let path = directory().join(file);
        Some(Self::read(&path, correct).unwrap_or_else(|why| panic!("{}: {why}", path.display())))
    }

    fn read(path: &Path, correct: fn(Value) -> Value) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let documents = Yaml::load_from_str(&text).map_err(|error| error.to_string())?;
        let document = documents.into_iter().next().and_then(json);
        Ok(Self::new(&correct(document.ok_or("the document is not JSON written as YAML")?)))
    }

    fn new(document: &Value) -> Self {
        let version = document["openapi"].as_str().unwrap_or_default();
        assert!(version.starts_with("3.0."), "OpenAPI 3.0 is understood, not {version:?}");
        let server = document["servers"][0]["url"].as_str().and_then(|url| url.parse().ok());
        let base =
            server.map_or_else(String::new, |url: Uri| url.path().trim_end_matches('/').into());
        let document = schema::translate(document);
        let registry = Registry::new()
            .add(BASE, document.clone())
            .and_then(jsonschema::RegistryBuilder::prepare)
            .unwrap_or_else(|error| panic!("the document's schemas: {error}"));
        Self { document, base, registry, validators: Mutex::default() }
    }

    /// The operation of a path without its query. A path without parameters comes before one with.
    pub(super) fn operation<'a>(&'a self, method: &Method, path: &'a str) -> Option<Operation<'a>> {
        let path = path.strip_prefix(&self.base)?;
        let paths = self.document["paths"].as_object()?;
        let bound = paths.iter().filter_map(|(template, item)| {
            bind(template, path).map(|parameters| (template, item, parameters))
        });
        let (template, item, parameters) = bound.min_by_key(|(.., parameters)| parameters.len())?;
        let method = method.as_str().to_ascii_lowercase();
        let operation = item.get(&method)?;
        let name = operation["operationId"].as_str().unwrap_or(template);
        let pointer = format!("/paths/{}/{method}", escaped(template));
        Some(Operation { name, pointer, parameters })
    }

    /// What a pointer points to, references followed.
    pub(super) fn resolved(&self, pointer: String) -> Option<(String, &Value)> {
        let node = self.document.pointer(&pointer)?;
        match node.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.resolved(reference.strip_prefix('#')?.to_owned()),
            None => Some((pointer, node)),
        }
    }

    /// The validator of the schema at a pointer, built once.
    pub(super) fn validator(&self, pointer: &str) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(validator) = validators.get(pointer) {
            return validator.clone();
        }
        let fragment = pointer.replace('{', "%7B").replace('}', "%7D");
        let built = jsonschema::options()
            .with_registry(&self.registry)
            .should_validate_formats(true)
            .build(&json!({ "$ref": format!("{BASE}#{fragment}") }));
        let built = Arc::new(built.unwrap_or_else(|error| panic!("{pointer}: {error}")));
        validators.insert(pointer.to_owned(), built.clone());
        built
    }
}

/// A name as a part of a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The values of a template's parameters, if this is a path of it.
fn bind<'a>(template: &'a str, path: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    if template.split('/').count() != path.split('/').count() {
        return None;
    }
    let mut parameters = Vec::new();
    for (expected, given) in template.split('/').zip(path.split('/')) {
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) if !given.is_empty() => parameters.push((name, given)),
            None if expected == given => {}
            _ => return None,
        }
    }
    Some(parameters)
}

fn json(yaml: Yaml) -> Option<Value> {
    Some(match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => value.into(),
        Yaml::Value(Scalar::Integer(value)) => value.into(),
        Yaml::Value(Scalar::FloatingPoint(value)) => value.into_inner().into(),
        Yaml::Value(Scalar::String(value)) => value.into_owned().into(),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(json).collect::<Option<_>>()?),
        Yaml::Mapping(members) => {
            let member = |(name, value)| Some((json(name)?.as_str()?.to_owned(), json(value)?));
            Value::Object(members.into_iter().map(member).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_address_of_the_server() {
        let specification = Specification::new(&json!({
            "openapi": "3.0.3",
            "servers": [{ "url": "https://api.example.com/v1" }],
            "paths": { "/a": { "get": { "operationId": "all" } } },
        }));
        assert!(specification.operation(&Method::GET, "/v1/a").is_some());
        assert!(specification.operation(&Method::GET, "/a").is_none());
    }

    #[test]
    fn a_path_without_parameters_comes_before_one_with() {
        let operation = |name: &str| json!({ "get": { "operationId": name } });
        let specification = Specification::new(&json!({
            "openapi": "3.0.0",
            "paths": { "/a/{b}": operation("one"), "/a/b": operation("literal"), "/a": operation("all") },
        }));
        for (path, expected) in [
            ("/a", Some(("all", vec![]))),
            ("/a/b", Some(("literal", vec![]))),
            ("/a/c", Some(("one", vec![("b", "c")]))),
            ("/a/", None),
            ("/a/b/c", None),
        ] {
            let found = specification.operation(&Method::GET, path);
            assert_eq!(found.map(|it| (it.name, it.parameters)), expected, "{path}");
        }
        assert!(specification.operation(&Method::PUT, "/a").is_none());
    }
}
