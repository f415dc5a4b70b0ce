//! Properties of the parsers that hold for every input. Each parser has a module with its property.
//! The tests here check it on generated inputs and on the committed corpus, and `cargo fuzz` on the
//! fuzzer's inputs (`fuzz/README.md`).
#![allow(clippy::print_stdout, reason = "a failed test prints the file that it read last")]

mod envelope;
mod input;
mod request;
mod settings;
mod signature;
mod svix;

use std::path::Path;

use bytes::Bytes;

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

/// The names and contents of a target's committed corpus.
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

/// Checks generated inputs, which are the same in every run. Only the fuzzer explores.
fn generate(check: Check, inputs: impl Strategy<Value = Vec<u8>>) {
    let (cases, rng_seed) = (512, RngSeed::Fixed(1));
    let config = Config { cases, rng_seed, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&inputs.prop_map(Bytes::from), |input| {
        check(&input);
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Changes up to three members of a JSON text. The members' pointers and the values are separated by
/// bars. An empty value removes the member.
fn changed(
    json: &str,
    pointers: &'static str,
    values: &'static str,
) -> impl Strategy<Value = Vec<u8>> + use<> {
    let tree: Value = json.parse().expect("JSON");
    let one_of = |words: &'static str| select(words.split('|').map(str::trim).collect::<Vec<_>>());
    vec((one_of(pointers), one_of(values)), 0..4).prop_map(move |changes| {
        let mut tree = tree.clone();
        for (pointer, value) in changes {
            let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
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
fn every_property_holds_for_a_corpus_file_with_changed_bytes() {
    for (target, check) in TARGETS {
        let files: Vec<_> = corpus(target).into_iter().map(|(_, input)| input).collect();
        let inputs = (select(files), any::<Index>(), vec(any::<u8>(), 0..4), 0..4_usize);
        let change = |(mut input, at, bytes, removed): (Vec<u8>, Index, Vec<u8>, usize)| {
            let at = at.index(input.len() + 1);
            input.splice(at..input.len().min(at + removed), bytes);
            input
        };
        generate(check, inputs.prop_map(change));
    }
}

#[test]
fn every_property_holds_for_random_bytes() {
    for (_, check) in TARGETS {
        generate(check, any::<Vec<u8>>());
    }
}
