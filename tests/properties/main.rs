//! What holds for every input. Each parser's property is said once, in the module of its name, and
//! tried three ways: here on generated inputs and on the committed corpus, and by `cargo fuzz`
//! (`fuzz/README.md`).
#![allow(clippy::print_stdout, reason = "a test that fails says which file it read last")]

mod envelope;
mod request;
mod settings;
mod signature;
mod svix;

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::Value;

/// Panics when a property does not hold for an input.
type Check = fn(&[u8]);

/// The fuzz targets.
const TARGETS: [(&str, Check); 5] = [
    ("signature", signature::check),
    ("envelope", envelope::check),
    ("settings", settings::check),
    ("request", request::check),
    ("svix", svix::check),
];

/// Of these headers, those that are text HTTP can carry, the first of each name.
fn sendable<'a>(
    headers: impl IntoIterator<Item = (&'a str, String)>,
) -> (Vec<(&'a str, String)>, HeaderMap) {
    let (mut pairs, mut map) = (Vec::new(), HeaderMap::new());
    for (name, value) in headers {
        let (Ok(key), Ok(text)) = (HeaderName::try_from(name), HeaderValue::try_from(&value))
        else {
            continue;
        };
        if text.to_str().is_ok() && !map.contains_key(&key) {
            map.insert(key, text);
            pairs.push((name, value));
        }
    }
    (pairs, map)
}

/// The committed corpus of a target, by the files' names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let paths =
        std::fs::read_dir(corpus).expect("a corpus").map(|file| file.expect("a file").path());
    let read = |path: &Path| std::fs::read(path).expect("a readable file");
    let mut files: Vec<_> = paths.map(|path| (path.display().to_string(), read(&path))).collect();
    files.sort_unstable();
    assert!(!files.is_empty(), "the corpus of {target} is empty");
    files
}

/// Checks generated inputs, the same ones in every run: exploring is the fuzzer's part.
fn generate(check: Check, inputs: impl Strategy<Value = Vec<u8>>) {
    let (cases, rng_seed) = (512, RngSeed::Fixed(1));
    let config = Config { cases, rng_seed, failure_persistence: None, ..Config::default() };
    let held = TestRunner::new(config).run(&inputs.prop_map(Bytes::from), |input| {
        check(&input);
        Ok(())
    });
    held.unwrap_or_else(|failure| panic!("{failure}"));
}

/// JSON in which up to three of the members at these places have one of these values, or are gone
/// where the value is empty. Bars stand between places and between values.
fn changed(
    json: &str,
    places: &'static str,
    values: &'static str,
) -> impl Strategy<Value = Vec<u8>> + use<> {
    let tree: Value = json.parse().expect("JSON");
    let one_of = |words: &'static str| select(words.split('|').map(str::trim).collect::<Vec<_>>());
    vec((one_of(places), one_of(values)), 0..4).prop_map(move |changes| {
        let mut tree = tree.clone();
        for (place, value) in changes {
            let (parent, name) = place.rsplit_once('/').expect("a pointer");
            let Some(Value::Object(members)) = tree.pointer_mut(parent) else { continue };
            members.remove(name);
            if !value.is_empty() {
                members.insert(name.to_owned(), value.parse().expect("JSON"));
            }
        }
        tree.to_string().into_bytes()
    })
}

#[test]
fn every_property_holds_for_the_committed_corpus() {
    for (target, check) in TARGETS {
        for (name, input) in corpus(target) {
            println!("{name}");
            check(&input);
        }
    }
}

#[test]
fn every_property_holds_for_a_file_of_the_corpus_with_any_bytes_put_into_it() {
    for (target, check) in TARGETS {
        let files: Vec<_> = corpus(target).into_iter().map(|(_, input)| input).collect();
        let inputs = (select(files), any::<Index>(), vec(any::<u8>(), 0..4), 0..4_usize);
        let spoiled = |(mut input, at, bytes, removed): (Vec<u8>, Index, Vec<u8>, usize)| {
            let at = at.index(input.len() + 1);
            input.splice(at..input.len().min(at + removed), bytes);
            input
        };
        generate(check, inputs.prop_map(spoiled));
    }
}

#[test]
fn every_property_holds_for_bytes_of_no_meaning() {
    for (_, check) in TARGETS {
        generate(check, any::<Vec<u8>>());
    }
}
