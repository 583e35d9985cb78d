//! Runs the tests that the command line asks for, one after the other: several of them look at all processes.

use std::panic::catch_unwind;
use std::process::ExitCode;

use overcoat_sandbox::probe::{FeatureStatus, features};

/// A test and its name.
pub(crate) type Test = (&'static str, fn());

/// Names each test after its function.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[crate::harness::Test] = &[$((concat!(module_path!(), "::", stringify!($name)), $name)),*];
    };
}
pub(crate) use tests;

/// Leaves the test, loudly, when the host lacks what it needs; fails it where CI promised that the host has it.
macro_rules! require {
    ($condition:expr, $reason:expr) => {
        if !$condition {
            assert!(
                !crate::harness::is_required(),
                "the host lacks what this test needs: {}",
                $reason
            );
            println!("SKIP: {}", $reason);
            return;
        }
    };
}
pub(crate) use require;

/// Leaves the test, loudly, when the host lacks what no promise depends on, so that CI may lack it as well.
macro_rules! optional {
    ($condition:expr, $reason:expr) => {
        if !$condition {
            println!("SKIP: {}", $reason);
            return;
        }
    };
}
pub(crate) use optional;

pub(crate) fn is_required() -> bool {
    std::env::var_os("OVERCOAT_TEST_REQUIRE").is_some_and(|value| value == "1")
}

pub(crate) fn run(tests: &[Test], arguments: &[String]) -> ExitCode {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let exact = has("--exact");
    let wanted: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-') && *argument != "terse")
        .collect();
    let chosen: Vec<&Test> = tests
        .iter()
        .filter(|(name, _)| {
            wanted.is_empty()
                || wanted.iter().any(|part| {
                    if exact {
                        name == *part
                    } else {
                        name.contains(part.as_str())
                    }
                })
        })
        .collect();
    if has("--list") {
        // `--ignored` asks for the tests that are skipped by default, of which there are none.
        for (name, _) in chosen.iter().filter(|_| !has("--ignored")) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    if let Some(reason) = missing_feature() {
        println!("SKIP all tests: {reason}");
        return if is_required() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        };
    }
    // Processes whose parents were killed come to this one, which tells them from those of other test runs.
    nix::sys::prctl::set_child_subreaper(true).expect("every kernel knows subreapers");
    let failed: Vec<&str> = chosen
        .iter()
        .filter(|(name, test)| {
            println!("test {name} ...");
            let result = catch_unwind(test);
            println!(
                "test {name} ... {}",
                if result.is_ok() { "ok" } else { "FAILED" }
            );
            result.is_err()
        })
        .map(|(name, _)| *name)
        .collect();
    println!(
        "{} passed, {} failed",
        chosen.len() - failed.len(),
        failed.len()
    );
    for name in &failed {
        println!("failed: {name}");
    }
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn missing_feature() -> Option<String> {
    features(&std::env::temp_dir())
        .into_iter()
        .find_map(|feature| match feature.status {
            FeatureStatus::Available(_) => None,
            FeatureStatus::Missing {
                cause, evidence, ..
            } => Some(format!("{}: {cause} ({evidence})", feature.name)),
        })
}
