//! The tools tree and the default initrd: configured, shown, and not built.

use super::*;

fn words(image: &ConfiguredImage, setting: &str) -> Vec<String> {
    let values = image.values(setting).iter();
    values.map(|sourced| sourced.value.to_string()).collect()
}

#[test]
fn tools_tree_gets_what_is_meant_for_it() {
    let fixture = Fixture::new(&[
        (
            "mkosi.conf",
            "\
[Distribution]
Distribution=debian
Release=trixie
Mirror=https://main.example.org/
[Output]
Format=none
ImageVersion=3
[Config]
PassEnvironment=A
Profiles=gui
[Build]
Environment=A=1 B=2
ToolsTree=yes
ToolsTreeRelease=sid
ToolsTreePackages=zz
WorkspaceDirectory=work
",
        ),
        ("mkosi.tools.conf/mkosi.conf", "[Content]\nPackages=aa\n"),
        (
            "mkosi.tools.conf/mkosi.profiles/misc.conf",
            "[Content]\nPackages=ab\n",
        ),
        ("mkosi.images/x.conf", "[Output]\nFormat=none\n"),
    ]);
    let project = fixture.load();
    assert_eq!(project.names(), ["x", "main"]);
    let tools = project.tools.as_ref().unwrap();
    for (setting, expected) in [
        ("Distribution", &["debian"][..]),
        ("Release", &["sid"]),
        ("Format", &["directory"]),
        ("Output", &["mkosi.tools"]),
        ("ImageVersion", &[]),
        ("Profiles", &["misc", "package-manager", "runtime"]),
        ("Environment", &["A=1"]),
    ] {
        assert_eq!(words(tools, setting), expected, "{setting}");
    }
    let packages = words(tools, "Packages");
    for package in ["zz", "aa", "ab", "apt", "jq", "dnf", "swtpm"] {
        assert!(packages.iter().any(|word| word == package), "{package}");
    }
    let path = fixture.path("mkosi.tools").display().to_string();
    for image in &project.images {
        assert_eq!(words(image, "ToolsTree"), [path.as_str()]);
    }
}

#[test]
fn tools_tree_has_few_settings() {
    let fixture = Fixture::new(&[
        (
            "mkosi.conf",
            "[Output]\nFormat=none\n[Build]\nToolsTree=default\n",
        ),
        ("mkosi.tools.conf", "[Output]\nOutputDirectory=out\n"),
    ]);
    let project = fixture.load();
    let path = fixture.path("out/mkosi.tools").display().to_string();
    assert_eq!(words(&project.images[0], "ToolsTree"), [path]);
    for text in ["[Output]\nFormat=disk\n", "[Distribution]\nRelease=sid\n"] {
        fixture.write("mkosi.tools.conf", text);
        assert_eq!(fixture.errors().len(), 1, "{text}");
    }
    // Without a tools tree nobody reads it.
    fixture.write(
        "mkosi.conf",
        "[Output]\nFormat=none\n[Build]\nToolsTree=no\n",
    );
    let project = fixture.load();
    assert!(project.tools.is_none());
    assert_eq!(words(&project.images[0], "ToolsTree"), Vec::<String>::new());
}

#[test]
fn default_initrd_is_an_image_of_its_own() {
    let fixture = Fixture::new(&[
        (
            "mkosi.conf",
            "\
[Output]
Format=disk
ImageVersion=2
[Content]
Initrds=default other.cpio
InitrdPackages=zz
InitrdProfiles=lvm
Hostname=h
Packages=main
",
        ),
        ("other.cpio", ""),
        ("mkosi.initrd.conf", "[Content]\nPackages=aa\n"),
        ("mkosi.images/x.conf", "[Output]\nFormat=none\n"),
    ]);
    let project = fixture.look_at();
    let names: Vec<&str> = project
        .images
        .iter()
        .map(|image| image.name.as_str())
        .collect();
    assert_eq!(names, ["x", "default-initrd", "main"]);
    let initrd = &project.images[1];
    for (setting, expected) in [
        ("Format", &["cpio"][..]),
        ("Output", &["initrd"]),
        ("ImageVersion", &["2"]),
        ("Hostname", &["h"]),
        ("Profiles", &["lvm"]),
        ("Dependencies", &[]),
    ] {
        assert_eq!(words(initrd, setting), expected, "{setting}");
    }
    let packages = words(initrd, "Packages");
    for (package, is_there) in [("zz", true), ("aa", true), ("lvm2", true), ("main", false)] {
        let found = packages.iter().any(|word| word == package);
        assert_eq!(found, is_there, "{package}");
    }
    let main = &project.images[2];
    assert_eq!(words(main, "Dependencies"), ["x", "default-initrd"]);
    let path = |name: &str| fixture.path(name).display().to_string();
    assert_eq!(words(main, "Initrds"), [path("initrd"), path("other.cpio")]);
}

#[test]
fn default_initrd_is_there_for_images_that_look_bootable() {
    for (text, is_there) in [
        ("[Content]\nPackages=linux-image-amd64\n", true),
        ("[Content]\nPackages=hello\n", false),
        (
            "[Output]\nFormat=sysext\n[Content]\nPackages=linux-image-amd64\n",
            false,
        ),
        ("[Content]\nBootable=yes\n", true),
    ] {
        let project = Fixture::new(&[("mkosi.conf", text)]).look_at();
        let mut images = project.images.iter();
        assert_eq!(
            images.any(|image| image.name == "default-initrd"),
            is_there,
            "{text}"
        );
        // What is not built refuses nothing.
        let bootable = text.contains("Bootable");
        assert_eq!(project.refusals.len(), usize::from(bootable), "{text}");
    }
}
