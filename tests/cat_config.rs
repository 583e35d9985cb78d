use crate::harness::World;

#[test]
fn files_are_shown_by_image_in_the_order_they_are_read() {
    let world = World::new();
    world.write("mkosi.conf", "[Output]\nFormat=directory\n");
    world.write("mkosi.conf.d/20-b.conf", "[Content]\nPackages=b\n");
    world.write(
        "mkosi.conf.d/10-a.conf",
        "[Match]\nFormat=disk\n[Content]\nPackages=\n",
    );
    world.write("mkosi.local.conf", "# \u{1b}[31m is mine\n[Content]\n\n");
    world.write("mkosi.images/x/mkosi.conf", "[Output]\nFormat=none\n");
    let shown = world.run(&["cat-config"]);
    assert_eq!(shown.status, Some(2));
    world.write("mkosi.local.conf", "# mine\n[Content]\n\n");
    let shown = world.run(&["cat-config"]);
    assert_eq!((shown.status, shown.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        shown.stdout,
        "### image x\n\n\
         # mkosi.images/x/mkosi.conf\n[Output]\nFormat=none\n\n\
         ### image main\n\n\
         # mkosi.local.conf\n# mine\n[Content]\n\n\
         # mkosi.conf\n[Output]\nFormat=directory\n\n\
         # mkosi.conf.d/20-b.conf\n[Content]\nPackages=b\n"
    );
}
