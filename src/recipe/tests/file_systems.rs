//! The file system of a disk image: what is chosen, what is not possible, and what is only told.

use super::*;
use crate::format::codec::BlockCodec;
use crate::format::file_system::KernelVersion;

fn payload(text: &str) -> Payload {
    let text = format!("[Output]\nFormat=sysext\n{text}");
    Fixture::new(&[("mkosi.conf", &text)])
        .load()
        .recipe("main")
        .payload
}

#[test]
fn file_system_and_compression_become_a_codec_with_its_level() {
    let squashfs = payload(
        "[Overcoat]\nFileSystem=squashfs\nCompression=gzip\nCompressionLevel=9\nOldestKernel=4.19\n",
    );
    assert_eq!(
        squashfs,
        Payload {
            file_system: FileSystem::Squashfs,
            codec: Some(BlockCodec::Zlib { level: 9 }),
            oldest_kernel: KernelVersion::new(4, 19),
        }
    );
    for (compression, codec) in [
        ("none", None),
        ("lz4", Some(BlockCodec::Lz4)),
        ("lz4hc", Some(BlockCodec::Lz4Hc { level: 4 })),
    ] {
        let erofs = payload(&format!("[Overcoat]\nCompression={compression}\n"));
        assert_eq!(erofs.file_system, FileSystem::Erofs);
        assert_eq!(erofs.codec, codec);
        // What the fixture's release has.
        assert_eq!(erofs.oldest_kernel, KernelVersion::new(6, 1));
    }
}

#[test]
fn automatic_compression_goes_by_distribution_and_release() {
    for (target, codec, kernel) in [
        (
            "Release=trixie",
            Some(BlockCodec::Zstd { level: 3 }),
            (6, 12),
        ),
        (
            "Release=bookworm",
            Some(BlockCodec::Lz4Hc { level: 4 }),
            (6, 1),
        ),
        ("Release=bullseye", None, (5, 4)),
        ("Distribution=ubuntu\nRelease=noble", None, (5, 4)),
    ] {
        let erofs = payload(&format!(
            "[Distribution]\n{target}\n[Overcoat]\nCompression=auto\n"
        ));
        assert_eq!(erofs.codec, codec, "{target}");
        assert_eq!(
            erofs.oldest_kernel,
            KernelVersion::new(kernel.0, kernel.1),
            "{target}"
        );
    }
}

#[test]
fn what_a_file_system_does_not_have_is_told_with_what_it_has() {
    let text = "[Output]\nFormat=sysext\n[Overcoat]\nCompression=xz\n";
    let fixture = Fixture::new(&[("mkosi.conf", text)]);
    assert_eq!(
        fixture.errors(),
        ["mkosi.conf:4: erofs with `Compression=xz` does not exist"]
    );
    assert_eq!(
        fixture.hints(),
        ["erofs has `none`, `zstd`, `lz4`, `lz4hc`, `gzip`; for `xz` choose `FileSystem=squashfs`"]
    );
    let fixture = fixture
        .with("FileSystem", "squashfs")
        .with("Compression", "none");
    assert_eq!(
        fixture.errors(),
        ["--compression: squashfs with `Compression=none` does not exist"]
    );
}

#[test]
fn values_that_do_not_fit_each_other_are_told_at_their_lines() {
    for (text, message) in [
        (
            "Compression=zstd\nCompressionLevel=23\n",
            "5: `CompressionLevel=` is `23`, expected a level of zstd, from 1 to 22",
        ),
        (
            "Compression=lz4\nCompressionLevel=1\n",
            "5: `CompressionLevel=` is `1`, expected no level, which `Compression=lz4` does not have",
        ),
        (
            "Compression=zstd\nOldestKernel=6.1\n",
            "5: `OldestKernel=` is `6.1`, expected 6.10 or later, for erofs with `Compression=zstd`",
        ),
        (
            "OldestKernel=new\n",
            "4: `OldestKernel=` is `new`, expected a release of Linux, such as `6.1`",
        ),
    ] {
        let text = format!("[Output]\nFormat=sysext\n[Overcoat]\n{text}");
        assert_eq!(mistakes(&text), [format!("mkosi.conf:{message}")]);
        // What has no file system has no such mistakes.
        let text = text.replace("sysext", "directory");
        Fixture::new(&[("mkosi.conf", &text)]).load();
    }
}

#[test]
fn compression_that_the_release_does_not_mount_is_noted() {
    let text = "[Output]\nFormat=sysext\n[Overcoat]\nCompression=zstd\n";
    let project = Fixture::new(&[("mkosi.conf", text)]).load();
    assert_eq!(
        project.notes,
        [Note {
            origin: origin_at("mkosi.conf", 4),
            text: "erofs with `Compression=zstd` needs Linux 6.10, and the release has 6.1".into(),
        }]
    );
    let payload = project.recipe("main").payload;
    assert_eq!(payload.oldest_kernel, KernelVersion::new(6, 10));
}

#[test]
fn settings_of_the_main_image_hold_for_all() {
    let fixture = Fixture::new(&[
        (
            "mkosi.conf",
            "[Overcoat]\nFileSystem=squashfs\n[Output]\nFormat=none\n",
        ),
        (
            "mkosi.images/a/mkosi.conf",
            "[Output]\nFormat=sysext\n[Overcoat]\nCompression=auto\n",
        ),
    ]);
    let payload = fixture.load().recipe("a").payload;
    assert_eq!(payload.file_system, FileSystem::Squashfs);
    assert_eq!(payload.codec, Some(BlockCodec::Zstd { level: 3 }));
}
