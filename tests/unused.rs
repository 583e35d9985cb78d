//! Files beside a recipe that nobody reads.

use std::os::unix::fs::PermissionsExt;

use crate::harness::World;

#[test]
fn files_that_nothing_reads_are_told() {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Output]\nFormat=none\n[Content]\nExtraTrees=mkosi.functions\n",
    );
    for name in [
        "mkosi.bulid",
        "mkosi.skeletn/usr/x",
        "mkosi.functions/usr/x",
        "mkosi.whatever",
        "mkosi.conf~",
        "mkosi.profiles/unused/mkosi.bulid",
        "mkosi.conf.d/x.cnf",
        "mkosi.conf.d/.hidden",
        "mkosi.conf.d/README.md",
        "mkosi.conf.d/x.conf.bak",
        "mkosi.conf.d/d/mkosi.versoin",
        "mkosi.images/y",
        "notes",
    ] {
        world.write(name, "");
    }
    const WARNINGS: &str = "\
warning: mkosi.bulid: nothing reads this file

hint: did you mean `mkosi.build`

warning: mkosi.conf.d/x.cnf: only directories and files that end with `.conf` are read here
warning: mkosi.conf.d/x.conf.bak: it looks like a copy that an editor left, and is not read
warning: mkosi.conf~: it looks like a copy that an editor left, and is not read
warning: mkosi.images/y: only directories and files that end with `.conf` are read here
warning: mkosi.skeletn: nothing reads this file

hint: did you mean `mkosi.skeleton`

warning: mkosi.whatever: nothing reads this file
warning: mkosi.conf.d/d/mkosi.versoin: nothing reads this file

hint: did you mean `mkosi.version`
";
    let summary = world.run(&["summary"]);
    assert_eq!(summary.stderr, WARNINGS);
    assert_eq!(summary.status, Some(0));
    world
        .run(&["summary", "--strict"])
        .assert_failed(2, &WARNINGS.replace("warning:", "error:"));
}

#[test]
fn scripts_that_nobody_can_run_are_told() {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Output]\nFormat=none\n[Content]\nFinalizeScripts=a.sh\n  b.sh\n",
    );
    for name in ["a.sh", "b.sh", "mkosi.build"] {
        world.write(name, "#!/bin/sh\n");
    }
    fs_err::set_permissions(world.path("a.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    let told = |summary: crate::harness::Transcript| -> Vec<String> {
        let lines = summary.stderr.lines();
        let told = lines.filter(|line| line.contains("executable") || line.starts_with("hint"));
        told.map(str::to_owned).collect()
    };
    assert_eq!(
        told(world.run(&["summary"])),
        [
            "warning: mkosi.build: the script `mkosi.build` is not executable",
            "hint: run `chmod +x mkosi.build`",
            "warning: mkosi.conf:5:3: the script `b.sh` is not executable",
            "hint: run `chmod +x b.sh`",
        ]
    );
    let none: [&str; 0] = [];
    assert_eq!(
        told(world.run(&["summary", "--make-scripts-executable=yes"])),
        none
    );
}

#[test]
fn text_that_is_a_script_must_be_executable() {
    let world = World::new();
    world.write("mkosi.conf", "[Output]\nFormat=none\n");
    world.write("mkosi.version", "#!/bin/sh\necho 1\n");
    world.run(&["summary"]).assert_failed(
        2,
        "error: mkosi.version: the script `mkosi.version` is not executable\n\n\
         hint: run `chmod +x mkosi.version`\n",
    );
}

#[test]
fn empty_directory_option_reads_no_file() {
    let world = World::new();
    world.write("mkosi.conf", "[Output]\nFormat=sysext\n");
    world.write("more.conf", "[Output]\nImageId=more\n");
    let summary = world.run(&[
        "--directory=",
        "--include=more.conf",
        "summary",
        "--origin",
        "--json",
    ]);
    assert_eq!(summary.stderr, "");
    let json: serde_json::Value = serde_json::from_str(&summary.stdout).unwrap();
    let settings = json["Images"][0]["Settings"].as_object().unwrap();
    let names: Vec<_> = settings.keys().collect();
    assert_eq!(names, ["ImageId"]);
}
