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
    assert_eq!(summary.stderr, "");
    let json: serde_json::Value = serde_json::from_str(&summary.stdout).unwrap();
    let formats: Vec<_> = json["Images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["Format"].as_str().unwrap())
        .collect();
    assert_eq!(formats, ["directory", "sysext", "disk"]);
}
