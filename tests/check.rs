//! `overcoat check`: what it says, in each form, and its exit status. What each finding looks for is tested beside it.

use overcoat::ddi::VerityMode;
use overcoat::signing::Signer;
use serde_json::Value;

use crate::harness::{Transcript, World};
use crate::images;

const RELEASE: &str = "usr/lib/extension-release.d/extension-release.tools";
const SERVICE: &str = "[Service]\nExecStart=/usr/bin/daemon\nUser=tools\n";

/// Returns a world with a host, an extension that works on it, and one that does not.
fn world() -> World {
    let world = World::new();
    for (path, text) in [
        ("host/usr/lib/os-release", "ID=debian\nVERSION_ID=\"13\"\n"),
        ("host/etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
        ("host/usr/bin/sh", "sh\n"),
        ("good/tools/usr/share/tools/data", "1\n"),
        ("bad/tools/usr/bin/sh", "other\n"),
        ("bad/tools/usr/lib/systemd/system/tools.service", SERVICE),
    ] {
        world.write(path, text);
    }
    let of = |version: &str| format!("ID=debian\nVERSION_ID={version}\n");
    world.write(&format!("good/tools/{RELEASE}"), &of("13"));
    world.write(&format!("bad/tools/{RELEASE}"), &of("12"));
    world
}

fn json(transcript: &Transcript) -> Value {
    serde_json::from_str(&transcript.stdout).unwrap()
}

fn codes(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .map(|found| found["code"].as_str().unwrap())
        .collect()
}

#[test]
fn an_extension_that_works_is_told_from_one_that_does_not() {
    let world = world();
    let good = world.run(&["check", "good/tools", "--against=host"]);
    assert_eq!((good.status, good.stderr.as_str()), (Some(0), ""));
    let (compared, sizes) = good.stdout.split_once("size without").unwrap();
    assert_eq!(
        compared,
        "good/tools: a sysext, described by /usr/lib/extension-release.d/extension-release.tools\n\
         \n\
         field         extension  host             rule\n\
         SYSEXT_SCOPE  -          system  fits     where it is not said, system and portable are meant\n\
         ARCHITECTURE  -          -       ignored  where it is not said, any will do\n\
         ID            debian     debian  fits     it must be the host's\n\
         SYSEXT_LEVEL  -          -       ignored  it counts only where both have one\n\
         VERSION_ID    13         13      fits     it must be equal where the host has one\n\
         \n"
    );
    assert!(sizes.ends_with("\n0 errors, 0 warnings, 0 notes\n"));

    let bad = world.run(&["check", "bad/tools", "--against=host"]);
    assert_eq!((bad.status, bad.stderr.as_str()), (Some(1), ""));
    for expected in [
        "VERSION_ID    12         13      differs  it must be equal where the host has one\n",
        "error OC0109 version-differs: it is for the release `12`, and the host has `13`\n    \
         /usr/lib/extension-release.d/extension-release.tools\n    \
         hint: build it for `VERSION_ID=13`, or give both the same `SYSEXT_LEVEL=` if it works on several releases\n",
        "error OC0704 program-missing: `tools.service` starts `/usr/bin/daemon` (`ExecStart=`), which does not exist\n",
        "error OC0801 account-missing: the user `tools` is neither the base's nor made by the extension\n    \
         /usr/lib/systemd/system/tools.service: User=tools\n",
        "warning OC0401 shadowing: `/usr/bin/sh` differs from the base's, which the extension hides where it is merged\n",
        "note OC0706 manager-not-reloaded: ",
        "3 errors, 1 warning, 1 note\n",
    ] {
        assert!(bad.stdout.contains(expected), "{expected}: {}", bad.stdout);
    }
}

#[test]
fn json_has_all_that_was_found() {
    let world = world();
    let report = json(&world.run(&["check", "--json", "bad/tools", "--against=host"]));
    assert_eq!(
        codes(&report),
        ["OC0109", "OC0704", "OC0801", "OC0401", "OC0706"]
    );
    assert_eq!(report["image"], "bad/tools");
    assert_eq!(report["against"], "host");
    assert_eq!(report["kind"], "sysext");
    let version = &report["comparison"][4];
    assert_eq!(version["field"], "VERSION_ID");
    assert_eq!(version["verdict"], "differs");
    let finding = &report["findings"][3];
    assert_eq!(finding["name"], "shadowing");
    assert_eq!(finding["severity"], "warning");
    assert_eq!(finding["items"][0]["path"], "/usr/bin/sh");
    assert_eq!(finding["items"][0]["reason"], "6 bytes for 3");
    assert!(finding["remedy"].is_string());
    assert_eq!(report["sizes"]["total_bytes"], 6 + 24 + SERVICE.len());
}

#[test]
fn sarif_has_a_rule_and_a_place_for_each_result() {
    let world = world();
    let log = json(&world.run(&["check", "--sarif", "bad/tools", "--against=host"]));
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 5);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        let place = &result["locations"][0];
        let image = &place["physicalLocation"]["artifactLocation"]["uri"];
        assert_eq!(image, "bad/tools");
    }
    let first = &results[0]["locations"][0]["logicalLocations"][0];
    assert_eq!(first["fullyQualifiedName"], format!("/{RELEASE}"));
}

#[test]
fn the_exit_status_is_by_severity() {
    let world = world();
    // A warning and a note are left.
    world.write(
        &format!("bad/tools/{RELEASE}"),
        "ID=debian\nVERSION_ID=13\n",
    );
    world.write("bad/tools/usr/bin/daemon", "daemon\n");
    world.write("bad/tools/usr/lib/sysusers.d/tools.conf", "u tools -\n");
    for (limit, status) in [("error", 0), ("warning", 1), ("note", 1), ("never", 0)] {
        let limit = format!("--fail-on={limit}");
        let checked = world.run(&["check", "bad/tools", "--against=host", &limit]);
        assert_eq!(checked.status, Some(status), "{limit}: {}", checked.stdout);
    }
    world
        .run(&["check", "none", "--against=host"])
        .assert_failed(
            2,
            "error: opening `none`\n  caused by: No such file or directory (os error 2)\n",
        );
    assert_eq!(
        world.run(&["check", "good/tools", "--against=none"]).status,
        Some(2)
    );
}

#[test]
fn an_os_release_is_a_host_of_which_little_is_known() {
    let world = world();
    let release = "host/usr/lib/os-release";
    let bad = json(&world.run(&["check", "--json", "bad/tools", "--against", release]));
    assert_eq!(codes(&bad), ["OC0109", "OC0706"]);
    let good = json(&world.run(&["check", "--json", "good/tools", "--against", release]));
    assert_eq!(codes(&good), [""; 0]);
    let alone = json(&world.run(&["check", "--json", "good/tools"]));
    assert_eq!(codes(&alone), ["OC0112"]);
}

#[test]
fn a_signature_is_looked_for_among_the_certificates_of_the_host() {
    let world = world();
    assert_eq!(world.run(&["genkey"]).status, Some(0));
    let (key, certificate) = (world.path("mkosi.key"), world.path("mkosi.crt"));
    let signer = Signer::from_files(&key, &certificate).unwrap();
    let checked = |mode| {
        let image = images::image(&images::tree(), mode);
        fs_err::write(world.path("tools.raw"), image).unwrap();
        json(&world.run(&["check", "--json", "tools.raw", "--against=host"]))
    };
    let has = |report: &Value, code: &str| codes(report).contains(&code);
    let unsigned = checked(VerityMode::Hash);
    assert!(has(&unsigned, "OC0201") && !has(&unsigned, "OC0208"));
    let bare = checked(VerityMode::None);
    assert!(has(&bare, "OC0202") && !has(&bare, "OC0201"));
    let signed = checked(VerityMode::Signed(&signer));
    assert!(has(&signed, "OC0208") && !has(&signed, "OC0201"));
    let text = fs_err::read_to_string(certificate).unwrap();
    world.write("host/etc/verity.d/mine.crt", &text);
    let known = checked(VerityMode::Signed(&signer));
    assert!(!has(&known, "OC0208"), "{known:#}");
}

#[test]
fn packages_of_the_manifest_are_listed_by_size() {
    let world = world();
    world.write(
        "good/tools.manifest",
        r#"{
            "packages": [{ "name": "small" }, { "name": "large" }, { "name": "unknown" }],
            "overcoat": { "installed_kib": { "small": 1, "large": 2 } }
        }"#,
    );
    let report = json(&world.run(&["check", "--json", "good/tools"]));
    let expected = serde_json::json!([
        { "name": "large", "size_bytes": 2048 },
        { "name": "small", "size_bytes": 1024 },
    ]);
    assert_eq!(report["sizes"]["packages"], expected);
}
