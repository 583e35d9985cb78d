//! The tutorial, word for word.

use super::*;

const SHARED: &str = "[Output]\nOutputDirectory=mkosi.output\nCacheDirectory=mkosi.cache\n";
const BASE: &str = "\
[Output]
Format=directory

[Content]
CleanPackageMetadata=no
Packages=systemd
         udev
";
const BTRFS: &str = "\
[Config]
Dependencies=base

[Output]
Format=sysext
Overlay=yes

[Content]
BaseTrees=%O/base
Packages=btrfs-progs
";
const INITRD: &str = "
[Output]
Format=cpio
Output=initrd

[Content]
MakeInitrd=yes
BaseTrees=%O/base
";

fn tutorial(main: &str) -> Fixture {
    Fixture::new(&[
        ("mkosi.conf", main),
        ("mkosi.images/base/mkosi.conf", BASE),
        ("mkosi.images/btrfs/mkosi.conf", BTRFS),
    ])
}

/// `CacheDirectory=` belongs in `[Build]`; the tutorial writes it in `[Output]`, and mkosi applies it.
#[test]
fn cache_directory_in_output_is_told() {
    assert_eq!(
        tutorial(SHARED).warnings(),
        ["mkosi.conf:3: `CacheDirectory=` belongs in `[Build]`, not in `[Output]`"]
    );
}

#[test]
fn first_variant_gives_base_extension_and_disk() {
    let fixture = tutorial(SHARED);
    let project = fixture.load();
    assert_eq!(project.names(), ["base", "btrfs", "main"]);

    let base = project.recipe("base");
    assert_eq!(base.format, Format::Directory);
    assert_eq!(base.packages, ["systemd", "udev"]);
    assert_eq!(base.clean_package_metadata, Feature::Disabled);
    assert_eq!(base.output_directory, fixture.path("mkosi.output"));
    assert_eq!(base.cache_directory, Some(fixture.path("mkosi.cache")));
    assert_eq!(base.output_file_name(), "base");
    assert_eq!(base.output_link_name(), None);
    assert_eq!(base.dependencies, Vec::<String>::new());
    assert_eq!(base.distribution, Distribution::Debian);
    assert_eq!(base.release, "bookworm");
    assert_eq!(base.architecture.debian_name(), Some("amd64"));

    let btrfs = project.recipe("btrfs");
    assert_eq!(btrfs.format, Format::Sysext);
    assert!(btrfs.overlay);
    assert_eq!(btrfs.base_trees, [fixture.path("mkosi.output/base")]);
    assert_eq!(btrfs.packages, ["btrfs-progs"]);
    assert_eq!(btrfs.dependencies, ["base"]);
    assert_eq!(btrfs.verity, Verity::Auto);
    assert_eq!(btrfs.output_file_name(), "btrfs.raw");
    assert_eq!(btrfs.output_link_name(), Some("btrfs"));
    assert_eq!(
        btrfs.origin("BaseTrees"),
        Some(&origin_at("mkosi.images/btrfs/mkosi.conf", 9))
    );

    let main = project.recipe("main");
    assert!(main.is_main);
    assert_eq!(main.format, Format::Disk);
    assert_eq!(main.packages, Vec::<String>::new());
    assert_eq!(main.dependencies, ["base", "btrfs"]);
    assert_eq!(main.output_file_name(), "image.raw");
    assert_eq!(main.output_link_name(), Some("image"));
}

#[test]
fn second_variant_gives_an_initrd() {
    let fixture = tutorial(&format!("{SHARED}{INITRD}"));
    let project = fixture.load();
    assert_eq!(project.names(), ["base", "btrfs", "main"]);
    let main = project.recipe("main");
    assert_eq!(main.format, Format::Cpio);
    assert!(main.make_initrd);
    assert!(!main.overlay);
    assert_eq!(main.base_trees, [fixture.path("mkosi.output/base")]);
    assert_eq!(main.compress_output, Compression::Zstd);
    assert_eq!(main.compress_level, 3);
    assert_eq!(main.output_file_name(), "initrd.cpio.zst");
    assert_eq!(main.output_link_name(), Some("initrd"));
}

#[test]
fn keys_beside_the_main_image_reach_the_extension() {
    let fixture = tutorial(SHARED);
    fixture.write("mkosi.key", "key");
    fixture.write("mkosi.crt", "certificate");
    let project = fixture.load();
    let btrfs = project.recipe("btrfs");
    assert_eq!(btrfs.verity_key, Some(fixture.path("mkosi.key")));
    assert_eq!(btrfs.verity_certificate, Some(fixture.path("mkosi.crt")));
    assert_eq!(
        btrfs.origin("VerityKey"),
        Some(&Origin::Magic {
            path: "mkosi.key".into()
        })
    );
}
