//! Packages whose maintainer scripts take all they can get: the build names the limit, and the last outputs stay.

use crate::harness::{Transcript, World};
use crate::hostile::write_extension;
use crate::repository::Repository;
use crate::require::{self, tool};

const MARK: &str = "mkosi.output/extension/usr/lib/first";

/// Builds the extension with a harmless package, and then with one that has `script`.
fn build_twice(script: &str, limit: &str) -> Result<Transcript, String> {
    require::building()?;
    let dpkg_deb = tool("dpkg-deb")?;
    let world = World::new();
    let harmless = "#!/bin/sh\ntouch /usr/lib/first\n";
    let harmless = Repository::of(&dpkg_deb, "greedy", Some(harmless));
    write_extension(&world, &harmless, "greedy");
    let first = world.run(&["-f", limit]);
    assert_eq!(first.status, Some(0), "{}", first.stderr);
    assert!(world.path(MARK).exists());
    let greedy = Repository::of(&dpkg_deb, "greedy", Some(&format!("#!/bin/sh\n{script}\n")));
    // The mirror that is named last is the one that counts.
    greedy.name_in(&world, "local-mirror");
    let second = world.run(&["-f", limit]);
    assert!(world.path(MARK).exists(), "the last output is gone");
    let staging = world.home().join(".cache/overcoat/staging");
    assert_eq!(fs_err::read_dir(staging).unwrap().count(), 0);
    Ok(second)
}

#[track_caller]
fn assert_stopped(build: &Transcript, reached: &str, hint: &str) {
    assert_eq!(build.status, Some(1), "{}", build.stderr);
    for expected in [
        "error: building the image `main`\n".to_owned(),
        format!("caused by: the step `install packages` {reached}: `apt-get "),
        format!("\n\nhint: {hint}\n"),
    ] {
        assert!(build.stderr.contains(&expected), "{}", build.stderr);
    }
}

#[test]
fn a_package_that_fills_the_disk_is_stopped() {
    let script = "number=0; while [ $number -lt 100 ]; do
        head -c 20M /dev/zero > /usr/lib/fill-$number; number=$((number + 1)); sleep 0.02; done; sleep 60";
    let build = require!(build_twice(script, "--limit=disk=200M"));
    assert_stopped(
        &build,
        "made the build use <size> of disk space, more than the limit of 200 MiB",
        "if you trust the recipe and its packages, give them more, such as `--limit=disk=400M`",
    );
}

#[test]
fn a_package_that_makes_files_without_end_is_stopped() {
    let script = "mkdir /usr/lib/bomb; cd /usr/lib/bomb; seq 100000 | xargs touch; sleep 60";
    let build = require!(build_twice(script, "--limit=disk=400M"));
    assert_stopped(
        &build,
        "made the build have more than 25600 files, which goes with its limit of disk space",
        "if you trust the recipe and its packages, give them more, such as `--limit=disk=800M`",
    );
}

#[test]
fn a_package_with_a_fork_bomb_is_stopped() {
    let script =
        "number=0; while [ $number -lt 600 ]; do sleep 60 & number=$((number + 1)); done; wait";
    let build = require!(build_twice(script, "--limit=processes=200"));
    assert_stopped(
        &build,
        "had more than the limit of 200 processes at once",
        "if you trust the recipe and its packages, give them more, such as `--limit=processes=400`",
    );
}

#[test]
fn a_package_that_takes_all_memory_is_stopped() {
    let script = "perl -e 'my $x = \"x\" x (900 << 20); sleep 60'";
    let build = require!(build_twice(script, "--limit=memory=600M"));
    assert_stopped(
        &build,
        "used more than the limit of <size> of memory",
        "if you trust the recipe and its packages, give them more, such as `--limit=memory=2G`",
    );
}

#[test]
fn a_package_with_a_sparse_file_is_stopped() {
    let build = require!(build_twice(
        "truncate -s 1T /usr/lib/sparse",
        "--limit=file-size=1G"
    ));
    assert_eq!(build.status, Some(1), "{}", build.stderr);
    let hint = "\n\nhint: \"File size limit exceeded\" can be the step's own limit; if you trust the recipe and its \
                packages, raise it with `--limit=file-size=`\n";
    assert!(build.stderr.contains(hint), "{}", build.stderr);
}
