use crate::harness::World;

#[test]
fn wrong_recipe_is_told_with_file_and_line_before_anything_is_built() {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Output]\nOutputDirectory=mkosi.output\nFormatt=cpio\n\n[Content]\nMakeInitrd=perhaps\n",
    );
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(2));
    assert_eq!(build.stdout, "");
    for place in ["mkosi.conf:3", "mkosi.conf:6"] {
        assert_eq!(build.stderr.matches(place).count(), 1, "{}", build.stderr);
    }
    assert!(!world.path("mkosi.output").exists());
}

#[test]
fn directory_without_a_recipe_is_bad_usage() {
    let build = World::new().run(&["-f"]);
    assert_eq!(build.status, Some(2), "{}", build.stderr);
    assert_eq!(build.stdout, "");
    assert!(build.stderr.starts_with("error: "), "{}", build.stderr);
}

#[test]
fn unknown_option_is_bad_usage() {
    let build = World::new().run(&["--no-such-option"]);
    assert_eq!(build.status, Some(2));
    assert_eq!(build.stdout, "");
}
