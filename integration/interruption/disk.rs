//! Disks that are full: each build ends with a plain error, keeps what was there, and the next one with space succeeds.

use std::process::Command;

use super::fixture::Fixture;
use super::given;
use super::traces::assert_nothing_lasts;
use crate::harness::{Transcript, names};
use crate::require::tool;

/// Runs a build in which `place` is a file system of `size`, of which `used` is filled before, and once more when it is
/// larger. What the first says goes to standard error, what is found afterwards to standard output.
const SCRIPT: &str = r#"
place=$1 size=$2 used=$3 more=$4; shift 4
mkdir -p "$place" && mount -t tmpfs -o size=$size none "$place" || exit 90
head -c $used /dev/zero >"$place/used" || exit 91
listed() { ls -AlR --full-time mkosi.output; }
listed >before 2>&1
"$@" $more
status=$?
listed >after 2>&1
cmp before after || exit 92
find "$place" -path '*/staging/*' -o -name .overcoat
rm "$place/used" && mount --options-mode=ignore -o remount,size=200m none "$place" || exit 93
"$@" $more 2>&1 || exit 94
exit $status"#;

fn build_in(
    fixture: &Fixture,
    place: &str,
    [size, used]: [&str; 2],
    more: &str,
) -> Result<Transcript, String> {
    let build = fixture.world.command(&["-f"]);
    let mut command = Command::new(tool("unshare")?.path());
    command
        .args(["--user", "--map-root-user", "--mount"])
        .args(["/bin/sh", "-c", SCRIPT, "full", place, size, used, more])
        .arg(build.get_program())
        .args(build.get_args())
        .current_dir(fixture.world.path(""))
        .env_clear()
        .envs(given(&build));
    let ended = fixture.world.finish(command);
    assert_eq!(ended.status, Some(1), "{}{}", ended.stdout, ended.stderr);
    assert!(
        !ended.stdout.starts_with("<world>"),
        "staged: {}",
        ended.stdout
    );
    assert_nothing_lasts(&fixture.world);
    Ok(ended)
}

#[test]
fn a_full_cache_is_named_at_every_step_and_harms_nothing() {
    let fixture = require!(Fixture::new());
    require!(tool("unshare"));
    fixture.build();
    // The build gets further with each.
    let sizes = [
        ["4k", "4096"],
        ["4k", "0"],
        ["8k", "0"],
        ["12k", "0"],
        ["16k", "0"],
        ["96k", "0"],
        ["8m", "0"],
    ];
    let mut ended_at = Vec::new();
    for sizes in sizes {
        let place = fixture.store();
        let ended = require!(build_in(&fixture, place.to_str().unwrap(), sizes, ""));
        let said = &ended.stderr;
        // A package manager says why in its own words, unless the bound on what a build leaves free was faster.
        let why = [
            "No space left on device",
            "enough free space",
            "free on the file system of",
        ];
        assert!(
            said.contains("`<world>/home/.cache/overcoat")
                && why.iter().any(|why| said.contains(why)),
            "{sizes:?}: {said}"
        );
        let last = said.lines().rfind(|line| line.ends_with(" ..."));
        ended_at.push(last.unwrap_or_default().to_owned());
    }
    let step = |name: &str| format!("main: {name} ...");
    assert_eq!(ended_at.first(), Some(&step("repository metadata")));
    assert_eq!(ended_at.last(), Some(&step("install packages")));
    assert_eq!(
        names(&fixture.store().join("staging")),
        Vec::<String>::new()
    );
}

#[test]
fn a_full_output_directory_is_named_and_keeps_what_was_there() {
    let fixture = require!(Fixture::new());
    require!(tool("unshare"));
    // The payload is in the store, and never fits.
    fixture.build();
    for (format, named) in [
        ("directory", "usr/lib/payload"),
        ("cpio", "`extension.cpio.zst`"),
        ("disk", "`extension.raw`"),
    ] {
        let more = format!("--format={format}");
        for size in ["64k", "20m"] {
            let ended = require!(build_in(&fixture, "mkosi.output", [size, "0"], &more));
            for said in [
                "writing `extension",
                named,
                "No space left on device (os error 28)",
                "hint: free some space",
            ] {
                assert!(ended.stderr.contains(said), "{}", ended.stderr);
            }
        }
    }
    fixture.assert_nothing_is_staged();
}
