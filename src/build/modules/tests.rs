//! Which modules and firmware stay, and what modules that are damaged do.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::choose;
use super::needs::{modinfo, needs_of};
use crate::build::extra;
use crate::build::fixture::{TIME, names, path, tree};
use crate::recipe::{FileChoice, System};
use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp};

/// Returns an ELF object whose only section besides its names is `.modinfo`.
fn module(strings: &[&str]) -> Vec<u8> {
    let info: Vec<u8> = strings
        .iter()
        .flat_map(|text| [text.as_bytes(), b"\0"].concat())
        .collect();
    let names = b"\0.modinfo\0";
    let header = |name: u32, offset: usize, size: usize| {
        let mut header = vec![0; 64];
        header[..4].copy_from_slice(&name.to_le_bytes());
        header[0x18..0x20].copy_from_slice(&(offset as u64).to_le_bytes());
        header[0x20..0x28].copy_from_slice(&(size as u64).to_le_bytes());
        header
    };
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    let table = 64 + info.len() + names.len();
    bytes[0x28..0x30].copy_from_slice(&(table as u64).to_le_bytes());
    bytes[0x3a] = 64;
    bytes[0x3c] = 3;
    bytes[0x3e] = 2;
    bytes.extend(&info);
    bytes.extend(names);
    bytes.extend(header(0, 0, 0));
    bytes.extend(header(1, 64, info.len()));
    bytes.extend(header(0, 64 + info.len(), names.len()));
    bytes
}

fn add(tree: &mut FileTree, name: &str, bytes: Vec<u8>, time: Timestamp) {
    let name = path(name);
    extra::make_directory(tree, None, &name.parent().unwrap(), time).unwrap();
    let content = EntryKind::Regular(Content::from_bytes(bytes));
    tree.insert(name, Entry::new(content, 0o644, time)).unwrap();
}

const KERNEL: &str = "usr/lib/modules/6.1";

fn system_tree() -> FileTree {
    let mut found = tree(&[
        "usr/",
        "usr/lib/",
        "usr/lib/firmware/",
        "usr/lib/firmware/amd-ucode/",
        "usr/lib/firmware/amd-ucode/a.bin",
        "usr/lib/firmware/net/",
        "usr/lib/firmware/net/card-1.bin.xz",
        "usr/lib/firmware/net/card-2.bin -> other/card",
        "usr/lib/firmware/net/other/",
        "usr/lib/firmware/net/other/card",
        "usr/lib/firmware/sound.bin",
        "usr/lib/firmware/unused/",
        "usr/lib/firmware/unused/x.bin",
    ]);
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    for (name, bytes) in [
        (
            "kernel/fs/ext4/ext4.ko",
            module(&["depends=mbcache,jbd2", "license=GPL"]),
        ),
        (
            "kernel/fs/mbcache.ko.zst",
            zstd(&module(&["softdep=pre: crc32c_x post: none"])),
        ),
        ("kernel/fs/jbd2/jbd2.ko", module(&[])),
        ("kernel/lib/crc32c-x.ko", module(&["depends="])),
        (
            "kernel/net/card.ko",
            module(&["firmware=net/card-*.bin", "depends=jbd2"]),
        ),
        ("kernel/sound/loud.ko", module(&["firmware=sound.bin"])),
        (
            "modules.builtin.modinfo",
            b"core.firmware=sound.bin\0core.license=GPL\0".to_vec(),
        ),
    ] {
        add(&mut found, &format!("{KERNEL}/{name}"), bytes, TIME);
    }
    found
}

fn chosen(modules: &[&str], firmware: &[&str]) -> (Vec<String>, BTreeSet<crate::tree::TreePath>) {
    let mut found = system_tree();
    let system = System {
        kernel_modules: FileChoice::new(modules).with_hyphens(),
        firmware: FileChoice::new(firmware),
        ..System::default()
    };
    let changed = choose(&mut found, &system).unwrap();
    let files = names(&found)
        .into_iter()
        .filter(|name| !name.ends_with('/'));
    let short = |name: String| {
        let name = name.replace("usr/lib/modules/6.1/kernel/", "");
        name.replace("usr/lib/firmware/", "firmware/")
            .replace("usr/lib/modules/6.1/", "")
    };
    (files.map(short).collect(), changed)
}

#[test]
fn what_is_chosen_stays_with_what_it_needs() {
    let (files, changed) = chosen(&["ext4"], &[]);
    assert_eq!(
        files,
        [
            "firmware/amd-ucode/a.bin",
            "firmware/sound.bin",
            "fs/ext4/ext4.ko",
            "fs/jbd2/jbd2.ko",
            "fs/mbcache.ko.zst",
            "lib/crc32c-x.ko",
            "modules.builtin.modinfo",
        ]
    );
    assert_eq!(changed, BTreeSet::from([path(KERNEL)]));
}

#[test]
fn firmware_is_kept_with_its_links() {
    let (files, _) = chosen(&["/net/"], &["-sound.bin", "x.bin"]);
    assert_eq!(
        files,
        [
            "firmware/amd-ucode/a.bin",
            "firmware/net/card-1.bin.xz",
            "firmware/net/card-2.bin -> other/card",
            "firmware/net/other/card",
            "firmware/unused/x.bin",
            "fs/jbd2/jbd2.ko",
            "net/card.ko",
            "modules.builtin.modinfo",
        ]
    );
}

#[test]
fn without_patterns_everything_stays() {
    let (files, changed) = chosen(&[], &[]);
    assert_eq!(files.len(), 13);
    assert!(changed.is_empty());
}

#[test]
fn modules_that_need_each_other_end() {
    let mut found = tree(&["usr/", "usr/lib/"]);
    add(
        &mut found,
        &format!("{KERNEL}/kernel/a.ko"),
        module(&["depends=b"]),
        TIME,
    );
    add(
        &mut found,
        &format!("{KERNEL}/kernel/b.ko"),
        module(&["depends=a,b"]),
        TIME,
    );
    let system = System {
        kernel_modules: FileChoice::new(["a"]),
        ..System::default()
    };
    assert!(choose(&mut found, &system).unwrap().is_empty());
}

#[test]
fn a_module_that_is_none_is_named() {
    let mut found = tree(&["usr/", "usr/lib/"]);
    add(
        &mut found,
        &format!("{KERNEL}/a.ko"),
        b"text".to_vec(),
        TIME,
    );
    let system = System {
        kernel_modules: FileChoice::new(["a"]),
        ..System::default()
    };
    let error = choose(&mut found, &system).unwrap_err();
    assert_eq!(
        error.to_string(),
        "reading the kernel module `/usr/lib/modules/6.1/a.ko` of the image"
    );
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(
        source.to_string(),
        "it is no ELF object: it does not start with an ELF header"
    );
}

#[test]
fn links_of_firmware_that_never_end_are_left() {
    let mut found = system_tree();
    let link = Entry::new(EntryKind::Symlink(b"sound.bin".to_vec()), 0o777, TIME);
    found
        .insert(path("usr/lib/firmware/sound.bin"), link)
        .unwrap();
    let system = System {
        kernel_modules: FileChoice::new(["ext4"]),
        ..System::default()
    };
    choose(&mut found, &system).unwrap();
    assert!(found.get(&path("usr/lib/firmware/sound.bin")).is_some());
}

#[test]
fn modules_of_other_machines_say_the_same() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("integration/fuzz/corpus/kernel_module");
    for name in ["little-endian", "big-endian-32"] {
        let bytes = fs_err::read(corpus.join(name)).unwrap();
        let needs = needs_of(modinfo(&bytes).unwrap());
        assert_eq!(needs.modules, ["mbcache", "jbd2", "crc32c", "x"], "{name}");
        assert_eq!(needs.firmware, ["net/card-*.bin"], "{name}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_module_or_refused(
        changes in proptest::collection::vec((0_usize..300, any::<u8>()), 0..12),
        length in 0_usize..300,
    ) {
        let mut bytes = module(&["depends=a", "firmware=b"]);
        for (at, byte) in changes {
            if let Some(changed) = bytes.get_mut(at) {
                *changed = byte;
            }
        }
        bytes.truncate(length);
        if let Ok(section) = modinfo(&bytes) {
            prop_assert!(section.len() <= bytes.len());
        }
    }
}
