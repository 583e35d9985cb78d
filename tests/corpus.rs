//! The configuration language, rule by rule: small recipes, and the whole `summary --json` that each stands for.
//!
//! `corpus/rules.txt` says which case shows which rule; `corpus/case.rs` says how a case is written.

mod case;
mod printed;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use case::Case;

/// The rules, each with the cases that show it.
const RULES: &str = include_str!("corpus/rules.txt");

#[test]
fn every_case_is_read_as_its_rules_say() {
    assert_no_case(Case::differences);
}

#[test]
fn every_summary_written_as_a_recipe_is_read_as_the_same() {
    assert_no_case(printed::differences);
}

/// Fails with all cases in which something differs.
#[track_caller]
fn assert_no_case(differences: fn(&Case) -> Vec<String>) {
    let names = case_names();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let case = Case::read(&directory().join(format!("{name}.txt")));
                    let differences = differences(&case);
                    if !differences.is_empty() {
                        let text = format!("{name}\n    {}", differences.join("\n    "));
                        failures.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(
        failures.is_empty(),
        "{} of {} cases:\n{}",
        failures.len(),
        names.len(),
        failures.join("\n")
    );
}

#[test]
fn every_rule_has_a_case_and_every_case_a_rule() {
    let mut rules = BTreeSet::new();
    let mut shown = BTreeSet::new();
    let mut without = Vec::new();
    let mut current: Option<(&str, usize)> = None;
    // The last line ends the last rule.
    for line in RULES.lines().chain(["# end"]) {
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        if let Some(cases) = line.strip_prefix("    ") {
            let (_, count) = current.as_mut().expect("cases come after their rule");
            let cases: Vec<&str> = cases.split_whitespace().collect();
            *count += cases.len();
            shown.extend(cases.into_iter().map(str::to_owned));
            continue;
        }
        without.extend(current.take().filter(|(_, count)| *count == 0));
        let (rule, _) = line.split_once(' ').expect("a rule has a number and words");
        assert!(rules.insert(rule), "{rule} is there twice");
        current = Some((rule, 0));
    }
    without.extend(current.filter(|(_, count)| *count == 0));
    assert_eq!(without, [], "rules without a case");
    let sections: BTreeSet<&str> = rules
        .iter()
        .map(|rule| rule.rsplit_once('.').expect("section and rule").0)
        .collect();
    assert_eq!(sections.len(), 10, "{sections:?}");
    let cases: BTreeSet<String> = case_names().into_iter().collect();
    assert_eq!(shown, cases, "cases in the table, and in the directory");
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// Returns every case as its directory and its name: `reader/comment`.
fn case_names() -> Vec<String> {
    let mut names = Vec::new();
    for topic in fs_err::read_dir(directory()).unwrap() {
        let topic = topic.unwrap().path();
        if !topic.is_dir() {
            continue;
        }
        for file in fs_err::read_dir(&topic).unwrap() {
            let file = file.unwrap().path();
            assert_eq!(file.extension(), Some("txt".as_ref()), "{file:?}");
            let parts = [topic.file_name(), file.file_stem()];
            let parts = parts.map(|part| part.unwrap().to_string_lossy().into_owned());
            names.push(parts.join("/"));
        }
    }
    names.sort();
    names
}
