use crate::harness::World;

#[test]
fn help_needs_no_valid_recipe() {
    let world = World::new();
    world.write("mkosi.conf", "not a recipe\n");
    for arguments in [["--help"], ["help"], ["--version"]] {
        let transcript = world.run(&arguments);
        assert_eq!(transcript.status, Some(0), "{arguments:?}");
        assert_eq!(transcript.stderr, "", "{arguments:?}");
    }
}
