//! Runs one target: replays its corpus, mutates it, and measures memory.

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::mutation::{Edit, apply, edits};

/// Cases of a target, unless the environment says otherwise.
const DEFAULT_CASES: u32 = 300;

const CASES_VARIABLE: &str = "EVENTCENTER_FUZZ_CASES";
const SEED_VARIABLE: &str = "EVENTCENTER_FUZZ_SEED";

/// The parser of one kind of input.
pub(crate) struct Target {
    /// Its folder in the corpus.
    pub(crate) name: &'static str,
    /// The maximum of the memory that is in use at one time while an input is parsed, in bytes for each byte of the input. A tree of
    /// JSON values has about 100: an object with one member takes some 600 bytes.
    pub(crate) bytes_per_byte: u64,
    /// What it may use beside that, in bytes.
    pub(crate) constant: u64,
    /// Of how many cases it runs one: more than 1 for a slow target.
    pub(crate) share: u32,
}

/// A file of the corpus.
struct Seed {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Target {
    /// A target whose parser is quick.
    pub(crate) const fn new(name: &'static str, bytes_per_byte: u64, constant: u64) -> Self {
        Self { name, bytes_per_byte, constant, share: 1 }
    }

    /// Runs the target. If it fails, or the process aborts, the last input is in the target folder of cargo. `parse` may use the documented memory; `check` asserts what holds for its result.
    pub(crate) fn fuzz<T>(&self, parse: impl Fn(&[u8]) -> T, check: impl Fn(&[u8], T)) {
        let seeds = self.seeds();
        for Seed { bytes, .. } in &seeds {
            // Values that are initialised once count for no input.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(parse(bytes))));
        }
        for Seed { path, bytes } in &seeds {
            if let Err(problem) = self.run(bytes, &parse, &check) {
                panic!("{}: {problem}", path.display());
            }
        }
        let corpus: Vec<Vec<u8>> = seeds.into_iter().map(|seed| seed.bytes).collect();
        let strategy = (any::<prop::sample::Index>(), edits());
        let result = self.runner().run(&strategy, |(seed, edits)| {
            let input = mutate(&corpus, seed, &edits);
            // A stack overflow aborts the process: the input has to be written before.
            self.save(&input);
            self.run(&input, &parse, &check).map_err(TestCaseError::fail)
        });
        match result {
            Ok(()) => {}
            Err(TestError::Fail(reason, (seed, edits))) => {
                let saved = self.save(&mutate(&corpus, seed, &edits));
                let folder = self.folder();
                panic!("{reason}\nthe input is {}; copy it to {}", saved.display(), folder.display());
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Parses an input and checks the result.
    fn run<T>(
        &self,
        input: &[u8],
        parse: &impl Fn(&[u8]) -> T,
        check: &impl Fn(&[u8], T),
    ) -> Result<(), String> {
        let run = || {
            let mut parsed = None;
            let memory = allocation_counter::measure(|| parsed = Some(parse(input)));
            let limit = self.bytes_per_byte * input.len() as u64 + self.constant;
            let used = memory.bytes_max;
            assert!(used <= limit, "{} bytes took {used} bytes of memory, allowed are {limit}", input.len());
            check(input, parsed.expect("it was parsed"));
        };
        catch_unwind(AssertUnwindSafe(run)).map_err(|panic| message(&*panic))
    }

    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(self.name)
    }

    /// The corpus, sorted by name, so that a seed means the same inputs everywhere.
    fn seeds(&self) -> Vec<Seed> {
        let folder = self.folder();
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{} is empty", folder.display());
        let read = |path: PathBuf| Seed { bytes: fs::read(&path).unwrap(), path };
        paths.into_iter().map(read).collect()
    }

    /// Runs as many cases as the environment says, the same ones each time.
    pub(crate) fn runner(&self) -> TestRunner {
        let cases = variable(CASES_VARIABLE, u64::from(DEFAULT_CASES));
        let cases = u32::try_from(cases).unwrap_or(u32::MAX).div_ceil(self.share);
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&variable(SEED_VARIABLE, 0).to_be_bytes());
        for (byte, letter) in seed[8..].iter_mut().zip(self.name.bytes()) {
            *byte = letter;
        }
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
    }

    /// Writes an input into the target folder of cargo.
    fn save(&self, input: &[u8]) -> PathBuf {
        let test = thread::current().name().unwrap_or(self.name).replace("::", "-");
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{test}"));
        fs::write(&path, input).unwrap();
        path
    }
}

fn mutate(corpus: &[Vec<u8>], seed: prop::sample::Index, edits: &[Edit]) -> Vec<u8> {
    edits.iter().fold(seed.get(corpus).clone(), |input, edit| apply(edit, input, corpus))
}

fn variable(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}: write a whole number")),
        Err(_) => default,
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}

#[test]
fn a_parser_that_panics_is_reported() {
    let target = Target::new("name", 1, 0);
    let problem = target.run(b"x", &|_| panic!("the parser failed"), &|_, ()| {});
    assert_eq!(problem, Err("the parser failed".to_owned()));
}

#[test]
fn a_parser_that_takes_too_much_memory_is_reported() {
    let target = Target::new("name", 10, 100);
    let parse = |length| move |_: &[u8]| vec![0_u8; length];
    assert_eq!(target.run(b"12345", &parse(150), &|_, _| {}), Ok(()));
    let problem = target.run(b"12345", &parse(151), &|_, _| {});
    assert_eq!(problem, Err("5 bytes took 151 bytes of memory, allowed are 150".to_owned()));
}
