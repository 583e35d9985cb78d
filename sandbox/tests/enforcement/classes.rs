//! The table of attack classes in the README: every class has tests, and every test that it names exists.

use std::path::Path;

use crate::harness::tests;
use crate::support::contents;

tests![every_class_of_attacks_names_tests_that_exist];

const README: &str = include_str!("../../README.md");

/// How many classes of attacks were collected from what happened to other builders and sandboxes.
const CLASS_COUNT: usize = 30;

fn every_class_of_attacks_names_tests_that_exist() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut sources = String::new();
    for directory in [
        "sandbox/tests",
        "sandbox/src",
        "integration",
        "tests",
        "src",
    ] {
        read_sources(&project.join(directory), &mut sources);
    }
    let rows: Vec<Vec<&str>> = README
        .lines()
        .skip_while(|line| *line != "## Attack classes")
        .filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit())
        .map(|line| line.trim_matches('|').split(" | ").collect())
        .collect();
    let numbers: Vec<usize> = rows
        .iter()
        .map(|row| row[0].trim().parse().unwrap())
        .collect();
    assert_eq!(numbers, (1..=CLASS_COUNT).collect::<Vec<_>>());
    for row in rows {
        let names: Vec<&str> = row[3].split('`').skip(1).step_by(2).collect();
        assert_ne!(names, Vec::<&str>::new(), "class {} has no test", row[0]);
        for name in names {
            let is_there = sources.contains(&format!("fn {name}("))
                || sources.contains(&format!("\"{name}\""));
            assert!(is_there, "class {}: no test `{name}`", row[0]);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "tests panic with the path")]
fn read_sources(directory: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        // What was built of the recipes lies there, and not all of it can be listed.
        if path.ends_with("recipes") {
            continue;
        }
        if path.is_dir() {
            read_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&contents(&path));
        }
    }
}
