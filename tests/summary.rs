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
