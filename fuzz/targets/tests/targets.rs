//! Every target over its corpus, and over a fixed number of seeded mutations of it.
//!
//! `QUITTANCE_FUZZ_CASES=10000` looks longer, `QUITTANCE_FUZZ_SEED=2` elsewhere. A failing input is written to `fuzz/artifacts`, where
//! cargo-fuzz puts its own; what it taught belongs in the corpus.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test, the panic is the finding"
)]

#[path = "targets/generate.rs"]
mod generate;
#[path = "targets/mutate.rs"]
mod mutate;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use proptest::strategy::BoxedStrategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use quittance_fuzz::{TARGETS, Target};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a target's corpus, by name.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = fuzz().join("corpus").join(name);
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{} has no corpus: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "the corpus of {name} is empty");
    files
}

fn target(name: &str) -> Target {
    TARGETS.iter().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("no target {name}")).1
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn run(name: &str, cases: u32, inputs: impl Fn(Vec<Vec<u8>>) -> BoxedStrategy<Vec<u8>>) {
    let target = target(name);
    let corpus = corpus(name);
    for (file, input) in &corpus {
        eprintln!("{name}/{file}");
        target(input);
    }
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number("QUITTANCE_FUZZ_SEED").unwrap_or(1).to_be_bytes());
    let cases = number("QUITTANCE_FUZZ_CASES").map_or(cases, |wanted| u32::try_from(wanted).unwrap());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let seeds = corpus.into_iter().map(|(_, input)| input).collect();
    let outcome = runner.run(&inputs(seeds), |input| {
        catch_unwind(AssertUnwindSafe(|| target(&input))).map_err(|panic| {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            // The least input so far; the last one written is the one that is reported.
            let folder = fuzz().join("artifacts").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("from-the-tests"), &input).unwrap();
            TestCaseError::fail(words.unwrap_or_else(|| "a panic".to_owned()))
        })
    });
    if let Err(error) = outcome {
        panic!("{name}: {error}\nthe input is in fuzz/artifacts/{name}/from-the-tests");
    }
}

/// Cases are counted so that all targets together take about half a minute of one core in a debug build.
macro_rules! targets {
    ($($name:ident: $cases:literal from $inputs:expr;)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name), $cases, $inputs);
        })*

        #[test]
        fn every_target_is_tested_and_has_a_libfuzzer_wrapper() {
            let tested: BTreeSet<&str> = [$(stringify!($name)),*].into();
            let targets: BTreeSet<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(tested, targets);
            let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
            for name in targets {
                let wrapper = fs::read_to_string(fuzz().join(format!("fuzz_targets/{name}.rs"))).unwrap();
                assert!(wrapper.contains(&format!("quittance_fuzz::{name}(data)")), "{name}: {wrapper}");
                assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is not in fuzz/Cargo.toml");
            }
        }
    };
}

targets! {
    api: 80 from generate::api;
    catalog: 1_500 from generate::toml;
    configuration: 600 from generate::toml;
    event: 3_000 from generate::json;
    form: 400 from generate::lines;
    observe: 1_000 from generate::json;
    projection: 2_000 from generate::bytes;
    redaction: 800 from generate::json;
    sandbox: 200 from generate::sandbox;
    signature: 100 from generate::lines;
    values: 1_500 from generate::lines;
}
