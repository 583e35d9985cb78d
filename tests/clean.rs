use crate::harness::World;

#[test]
fn outputs_go_and_other_files_stay() {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Output]\nFormat=cpio\nOutput=initrd\nOutputDirectory=mkosi.output\n",
    );
    world.write("mkosi.output/initrd.cpio.zst", "");
    world.write("mkosi.output/notes", "");
    std::os::unix::fs::symlink("initrd.cpio.zst", world.path("mkosi.output/initrd")).unwrap();

    let clean = world.run(&["clean"]);

    assert_eq!(clean.status, Some(0), "{}", clean.stderr);
    let left: Vec<_> = fs_err::read_dir(world.path("mkosi.output"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["notes"]);
}
