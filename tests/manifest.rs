//! The list of what an image was built with.

use crate::harness::World;

#[test]
fn manifest_describes_the_image_and_its_protection() {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Distribution]\nDistribution=debian\nRelease=bookworm\nArchitecture=x86-64\n\
         [Output]\nFormat=sysext\nImageId=tools\nImageVersion=3\nManifestFormat=json\nChecksum=yes\n\
         [Content]\nExtraTrees=tree\n",
    );
    world.write("tree/usr/bin/tool", "");
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        r#"{{
  "manifest_version": 1,
  "config": {{
    "name": "tools",
    "distribution": "debian",
    "architecture": "x86-64",
    "output_format": "sysext",
    "version": "3",
    "release": "bookworm"
  }},
  "packages": [],
  "extension": {{
    "ARCHITECTURE": "x86-64",
    "ID": "_any",
    "SYSEXT_ID": "tools",
    "SYSEXT_SCOPE": "initrd system portable",
    "SYSEXT_VERSION_ID": "3"
  }},
  "overcoat": {{
    "version": "{version}",
    "missing_protection": [],
    "untrusted": false
  }}
}}
"#
    );
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let read = |name: &str| fs_err::read_to_string(world.path(name)).unwrap();
    assert_eq!(read("tools_3.manifest"), expected);
    let sums = read("tools_3.SHA256SUMS");
    let names: Vec<&str> = sums
        .lines()
        .filter_map(|line| line.split_once(" *"))
        .map(|(_, name)| name)
        .collect();
    assert_eq!(names, ["tools_3.manifest", "tools_3.raw"]);

    let untrusted = world.run(&["-ff", "--untrusted"]);
    assert_eq!(untrusted.status, Some(0), "{}", untrusted.stderr);
    assert_eq!(
        read("tools_3.manifest"),
        expected.replace(r#""untrusted": false"#, r#""untrusted": true"#)
    );
    assert_eq!(world.run(&["clean"]).status, Some(0));
    assert!(!world.path("tools_3.manifest").exists());
}
