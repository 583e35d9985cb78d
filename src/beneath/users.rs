//! Which files may reach something by its path, and why.

use fs_err as fs;

/// What is read or made by path: places that a person named or that belong to the host, and questions whose answer
/// only chooses between messages.
const BY_PATH: [(&str, &str); 56] = [
    ("build/disk.rs", "asks how much room a file system has"),
    (
        "build/extra.rs",
        "finds the real path of a file that a person named, or the recipe one inside its own directory",
    ),
    (
        "build/fetch.rs",
        "makes the package cache that a person named; looks for the host's keyrings",
    ),
    (
        "build/local.rs",
        "finds the real path of a package that a person named, or the recipe one inside its own directory",
    ),
    (
        "build/mod.rs",
        "tells whether an output exists, which the build then replaces by descriptor; finds host programs",
    ),
    (
        "build/policy/host.rs",
        "looks at the host's own /usr and /etc",
    ),
    (
        "build/private.rs",
        "compares where a person's key and directories are with an open directory",
    ),
    ("build/reach.rs", "reads the host's resolv.conf"),
    (
        "build/record.rs",
        "tells whether outputs exist, and finds the real path of the output directory",
    ),
    (
        "build/record/files.rs",
        "follows links to find the real path of what a setting names, to tell whether it has changed",
    ),
    (
        "build/record/inputs.rs",
        "finds the real paths of what scripts do not see; asks for the status of this program",
    ),
    (
        "build/sandbox_trees.rs",
        "tells whether the host has a keyring that a list of repositories names",
    ),
    (
        "build/script/run.rs",
        "reads the scripts that the recipe has in its directory; makes the build directory, which is the person's",
    ),
    (
        "build/script/sources.rs",
        "finds the real paths of the sources, which are then opened without links, and of what is hidden of them",
    ),
    (
        "build/usage.rs",
        "counts what a running program has, by descriptors of its own, and reads and changes nothing",
    ),
    ("capture/owners.rs", "reads /proc/self"),
    (
        "cli/cat_config.rs",
        "finds the real path that is then opened without links",
    ),
    (
        "cli/check.rs",
        "reads the os-release that a person named, and the manifest beside an image",
    ),
    (
        "cli/dispatch.rs",
        "looks for the directory that a person named",
    ),
    ("cli/doctor/host.rs", "looks at the host"),
    ("cli/host.rs", "reads the host's /etc"),
    ("cli/images.rs", "asks whether the person named a directory"),
    ("cli/profile.rs", "reads the file that a person named"),
    ("cli/sandbox.rs", "asks what its own standard streams are"),
    (
        "cli/sandbox/options.rs",
        "looks at the directory that a person named",
    ),
    (
        "cli/sign.rs",
        "opens the image that a person named, to sign it in place",
    ),
    ("cli/signal.rs", "reads /proc/self"),
    ("format/read_at.rs", "opens the image that a person named"),
    (
        "publish/checksums.rs",
        "finds where the image really is that a person named, and opens its directory",
    ),
    (
        "publish/hidden.rs",
        "makes the output directory, and removes it while it is empty",
    ),
    (
        "recipe/assign.rs",
        "finds the real path that is then opened without links",
    ),
    (
        "recipe/assisting.rs",
        "asks whether there is configuration to read",
    ),
    (
        "recipe/conditions.rs",
        "finds what is there of a path, for the grant that a message names",
    ),
    (
        "recipe/defaults.rs",
        "asks which certificates of the host there are",
    ),
    (
        "recipe/discovery.rs",
        "asks what there is to read; what is read is permitted and opened by its real path",
    ),
    (
        "recipe/error.rs",
        "asks whether a hint is to say that a directory must be made",
    ),
    (
        "recipe/grants.rs",
        "finds the real path of what a person grants",
    ),
    (
        "recipe/include.rs",
        "finds the real path that is then opened without links",
    ),
    (
        "recipe/magic.rs",
        "asks what there is to read, and its mode",
    ),
    ("recipe/matching.rs", "answers the condition PathExists="),
    (
        "recipe/program.rs",
        "finds the real paths of what is hidden from programs",
    ),
    (
        "recipe/project.rs",
        "finds the recipe below the directory that a person named",
    ),
    (
        "recipe/real.rs",
        "follows links to find the real path that is then judged, and opened without links",
    ),
    (
        "recipe/repart/load.rs",
        "follows links to find the real path that is then judged; lists a directory that was judged",
    ),
    (
        "recipe/resolve.rs",
        "finds the real path that is then opened without links",
    ),
    (
        "recipe/unused.rs",
        "looks which names there are, and reads none of the files",
    ),
    (
        "recipe/values/glob.rs",
        "lists directories that the recipe may reach",
    ),
    (
        "recipe/values/paths.rs",
        "asks what there is, and the mode of a secret",
    ),
    (
        "recipe/values/runtime.rs",
        "lists the credentials in a directory that the recipe may reach",
    ),
    (
        "recipe/values/vantage.rs",
        "asks what there is where the recipe may reach",
    ),
    (
        "signing/key_files.rs",
        "makes new files beside each other in the directory that a person named",
    ),
    (
        "signing/openpgp.rs",
        "finds the person's own program, and the key that a person named for it",
    ),
    (
        "signing/signer.rs",
        "reads the key that a person named, of bounded size and without waiting",
    ),
    ("store/mod.rs", "makes the directory that a person named"),
    (
        "store/place.rs",
        "keeps the secret in the person's own cache directory",
    ),
    (
        "store/trusted.rs",
        "finds the real path of the person's own store",
    ),
];

/// Calls that take a path, or ask about one.
const CALLS: [&str; 8] = [
    "fs_err",
    "std::fs::",
    "nix::sys::stat",
    "canonicalize(",
    ".exists()",
    ".is_dir()",
    ".is_file()",
    "read_dir(",
];

/// The calls of `rustix::fs` that work on an open file alone.
const ON_DESCRIPTORS: [&str; 9] = [
    "copy_file_range",
    "fchmod",
    "fchown",
    "fsetxattr",
    "fstat",
    "futimens",
    "ioctl_ficlone",
    "seek",
    "syncfs",
];

fn is_by_path(line: &str) -> bool {
    let line = line.trim_start();
    if line.starts_with("//") || line == "use std::fs::File;" {
        return false;
    }
    let of_rustix = line.match_indices("rustix::fs::").any(|(at, prefix)| {
        let name: String = line[at + prefix.len()..]
            .chars()
            .take_while(|character| {
                character.is_ascii_lowercase() || "_0123456789".contains(*character)
            })
            .collect();
        !name.is_empty() && !ON_DESCRIPTORS.contains(&name.as_str())
    });
    let line = line.replace("std::fs::File", "");
    of_rustix || CALLS.iter().any(|call| line.contains(call))
}

/// Returns the sources of the program below `directory`, without tests and fuzz targets, by their names.
fn sources(directory: &std::path::Path, name: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let file_name = entry.file_name().into_string().unwrap();
        let name = match name {
            "" => file_name.clone(),
            name => format!("{name}/{file_name}"),
        };
        match file_name.as_str() {
            "tests" | "tests.rs" | "fixture.rs" | "arbitrary.rs" | "fuzzing.rs" => {}
            _ if name == "beneath" => {}
            _ if entry.file_type().unwrap().is_dir() => sources(&entry.path(), &name, found),
            _ => {
                let text = fs::read_to_string(entry.path()).unwrap();
                let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
                found.push((name, text[..end].to_owned()));
            }
        }
    }
}

#[test]
fn every_file_that_reaches_something_by_path_has_a_reason() {
    let mut found = Vec::new();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    sources(root.as_ref(), "", &mut found);
    let mut by_path: Vec<_> = found
        .iter()
        .filter(|(_, text)| text.lines().any(is_by_path))
        .map(|(name, _)| name.as_str())
        .collect();
    by_path.sort_unstable();
    assert_eq!(by_path, BY_PATH.map(|(name, _)| name));
}

#[test]
fn calls_by_path_are_recognised() {
    for line in [
        "fs_err::read(path)",
        "    let found = std::fs::metadata(path);",
        "if path.is_dir() {",
        "rustix::fs::openat(CWD, path, flags, mode)",
        "    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())",
    ] {
        assert!(is_by_path(line), "{line}");
    }
    for line in [
        "// fs_err::read",
        "use std::fs::File;",
        "fn read(file: std::fs::File)",
        "rustix::fs::fchmod(&file, mode)",
        "use rustix::fs::{FileType, Mode};",
    ] {
        assert!(!is_by_path(line), "{line}");
    }
}
