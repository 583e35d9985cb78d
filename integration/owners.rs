//! A package whose maintainer script makes an account and gives a program to it.

use crate::harness::World;
use crate::hostile::copy_tree;
use crate::repository::Repository;
use crate::require::{self, tool};
use crate::tutorial;

/// What a package does with the first free number of a group, without the program that finds it.
const POSTINST: &str = "#!/bin/sh
set -e
echo 'queue:x:150:' >>/etc/group
cp /bin/true /usr/bin/submit
chown root:queue /usr/bin/submit
chmod 2755 /usr/bin/submit
mkdir /usr/lib/queue
ln -s none /usr/lib/queue/link
chown -h root:queue /usr/lib/queue /usr/lib/queue/link
";

#[test]
fn files_of_a_group_that_a_package_made_are_told() {
    require!(require::building());
    let dpkg_deb = require!(tool("dpkg-deb"));
    let base = tutorial::signed().output("base");
    let world = World::new();
    let repository = Repository::of(&dpkg_deb, "queue", Some(POSTINST));
    world.write(
        "mkosi.conf",
        &format!(
            "[Distribution]\nLocalMirror={}\n\n\
             [Output]\nFormat=sysext\nOutputDirectory=mkosi.output\nOverlay=yes\n\n\
             [Content]\nBaseTrees=base\nPackages=queue\n",
            repository.url()
        ),
    );
    repository.name_in(&world, "local-mirror");
    copy_tree(&base, &world.path("base"));
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let remedy = "fix the number in a `sysusers.d` file of the extension, use a static id, or leave it to root";
    let told: Vec<_> = build
        .stderr
        .lines()
        .filter(|line| line.contains("(150)"))
        .collect();
    assert_eq!(
        told,
        [
            format!(
                "warning: main: `/usr/bin/submit` is set-group-id to `queue` (150): it runs with the rights of whoever \
                 has that number on other machines; {remedy} without the set-id bit"
            ),
            format!(
                "warning: main: `/usr/lib/queue` and 1 more belong to the group `queue` (150), whose number is another \
                 group's or nobody's on other machines; {remedy} and make what needs the owner at boot with \
                 `tmpfiles.d`"
            ),
        ]
    );
}

#[test]
fn tutorial_has_nothing_to_tell() {
    require!(require::building());
    let told: Vec<_> = tutorial::signed()
        .transcript
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning: btrfs:"))
        .collect();
    assert_eq!(told, Vec::<&str>::new());
}
