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
fn output_directory_that_cannot_be_written_is_told_before_anything_is_built() {
    let world = World::new();
    world.write("mkosi.conf", "[Output]\nFormat=directory\n");
    world
        .run(&["-f", "--output-directory=/proc/self"])
        .assert_failed(
            1,
            "error: publishing the outputs\n  \
             caused by: preparing the output directory `/proc/self`\n  \
             caused by: No such file or directory (os error 2)\n\n\
             hint: name a directory that you can write to with `OutputDirectory=`\n",
        );
}
