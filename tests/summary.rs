use std::path::Path;

use crate::harness::World;

#[test]
fn tutorial_has_its_three_images_in_build_order() {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/recipes/tutorial");
    let world = World::new();
    let mut command = world.command(&["--json", "-C"]);
    command.arg(recipe).arg("summary");
    let summary = world.finish(command);
    assert_eq!(summary.status, Some(0), "{}", summary.stderr);
    assert_eq!(
        summary.stderr,
        "warning: mkosi.conf:3:1: `CacheDirectory=` belongs in `[Build]`, not in `[Output]`\n  \
         3 | CacheDirectory=mkosi.cache\n    | ^^^^^^^^^^^^^^\n"
    );
    let json: serde_json::Value = serde_json::from_str(&summary.stdout).unwrap();
    let formats: Vec<_> = json["Images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["Format"].as_str().unwrap())
        .collect();
    assert_eq!(formats, ["directory", "sysext", "disk"]);
}

#[test]
fn text_says_where_each_value_was_written() {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Distribution]\nDistribution=debian\nRelease=bookworm\n\n[Content]\nPackages=bash\n",
    );
    let summary = world.run(&["--format=cpio", "-p", "dash", "summary"]);
    assert_eq!(summary.status, Some(0), "{}", summary.stderr);
    let set: Vec<_> = summary
        .stdout
        .lines()
        .take_while(|line| *line != "  by default")
        .collect();
    assert_eq!(
        set,
        [
            "main: image.cpio.zst",
            "  Distribution=debian (mkosi.conf:2)",
            "  Release=bookworm (mkosi.conf:3)",
            "  Format=cpio (--format)",
            "  Packages=bash dash (mkosi.conf:6, --package)",
        ]
    );
}

#[test]
fn origin_says_where_each_value_was_written_and_what_it_took_the_place_of() {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Output]\nFormat=disk\nFormat=sysext\n[Content]\nPackages=a b\nPackages=\nPackages=\n  c\n  d\n\
         [Build]\nCacheDirectory=\n",
    );
    world.write(
        "mkosi.local.conf",
        "[Output]\nFormat=tar\n[Content]\nPackages=e\n",
    );
    let summary = world.run(&["summary", "--origin", "--format=cpio", "-p", "f"]);
    assert_eq!((summary.status, summary.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        summary.stdout,
        "main
  Format=cpio (--format)
    overrides disk (mkosi.conf:2:8)
    overrides sysext (mkosi.conf:3:8)
    overrides tar (mkosi.local.conf:2:8)
  Packages=
    c (mkosi.conf:8:3)
    d (mkosi.conf:9:3)
    e (mkosi.local.conf:4:10)
    f (--package)
    overrides a (mkosi.conf:5:10)
    overrides b (mkosi.conf:5:12)

"
    );
    let json = world.run(&["summary", "--origin", "--json", "--package="]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let format = &json["Images"][0]["Settings"]["Format"];
    assert_eq!(
        *format,
        serde_json::json!({
            "Values": [{ "Value": "tar", "File": "mkosi.local.conf", "Line": 2, "Column": 8 }],
            "Overridden": [
                { "Value": "disk", "File": "mkosi.conf", "Line": 2, "Column": 8 },
                { "Value": "sysext", "File": "mkosi.conf", "Line": 3, "Column": 8 },
            ],
        })
    );
    let packages = &json["Images"][0]["Settings"]["Packages"];
    assert_eq!(packages["Values"], serde_json::json!([]));
    assert_eq!(packages["Overridden"].as_array().unwrap().len(), 5);
}

#[test]
fn tools_tree_is_shown_before_the_images() {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Distribution]\nDistribution=debian\nRelease=trixie\n[Output]\nFormat=none\n[Build]\nToolsTree=yes\n",
    );
    world.write("mkosi.tools.conf", "[Content]\nPackages=gdb\n");
    let shown = |arguments: &[&str]| {
        let run = world.run(arguments);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        run.stdout
    };
    let summary = shown(&["summary"]);
    assert!(summary.starts_with("tools: mkosi.tools\n"), "{summary}");
    assert!(summary.contains("\nmain: "), "{summary}");
    let origins = shown(&["summary", "--origin"]);
    assert!(
        origins.contains("    gdb (mkosi.tools.conf:2:10)\n"),
        "{origins}"
    );
    let origins = shown(&["summary", "--origin", "--json"]);
    let origins: serde_json::Value = serde_json::from_str(&origins).unwrap();
    assert_eq!(origins["Tools"]["Image"], "tools");
    assert!(
        shown(&["cat-config"]).starts_with("### image tools\n\n# mkosi.tools.conf\n[Content]\n")
    );
}
