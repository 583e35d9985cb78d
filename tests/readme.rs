use std::collections::BTreeSet;
use std::path::Path;

const README: &str = include_str!("../README.md");

fn source() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn pipeline_names_the_modules_of_the_source_tree() {
    let modules: BTreeSet<_> = fs_err::read_dir(source())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let named: BTreeSet<_> = README
        .lines()
        .skip_while(|line| *line != "## Pipeline")
        .take_while(|line| *line != "## Threat model")
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(named, modules);
}

#[test]
fn pipeline_diagram_is_the_crates() {
    let diagram = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| line.trim_start_matches("//!").trim())
            .skip_while(|line| !line.starts_with("recipe text ─"))
            .take(2)
            .map(str::to_owned)
            .collect()
    };
    let library = fs_err::read_to_string(source().join("lib.rs")).unwrap();
    assert_eq!(diagram(README), diagram(&library));
}
