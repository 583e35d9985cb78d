//! The fuzz project is whole: `integration/fuzz` is a workspace of its own, which no other test builds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fs_err as fs;

#[test]
fn every_fuzz_target_is_built_and_has_a_corpus() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/fuzz");
    let targets: BTreeSet<String> = entries(&project.join("fuzz_targets"))
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let corpora: BTreeSet<String> = entries(&project.join("corpus"))
        .iter()
        .filter(|path| !entries(path).is_empty())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(corpora, targets);

    let manifest = fs::read_to_string(project.join("Cargo.toml")).unwrap();
    let built: BTreeSet<String> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/"))
        .map(|rest| rest.trim_end_matches(".rs\"").to_owned())
        .collect();
    assert_eq!(built, targets);

    // The script runs whatever is in the directory, and each file is the target of its name.
    let script = fs::read_to_string(project.join("run")).unwrap();
    assert!(script.contains("targets=(fuzz_targets/*.rs)"));
    for target in targets {
        let text = fs::read_to_string(project.join(format!("fuzz_targets/{target}.rs"))).unwrap();
        assert!(
            text.contains(&format!("::fuzzing::{target}(bytes)")),
            "{target}"
        );
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}
