use super::fuzzing::read;
use super::{Definition, GROW_FILE_SYSTEM, NO_AUTO, PartitionFormat, READ_ONLY, VerityPart};
use crate::recipe::FileCompression;

fn one(text: &str) -> (Definition, Vec<String>) {
    let text = format!("[Partition]\n{text}");
    let (mut definitions, problems) = read(&[("10-x.conf", text.as_bytes())]);
    (definitions.pop().expect("it has a type"), problems)
}

fn problems(text: &str) -> Vec<String> {
    let text = format!("[Partition]\n{text}");
    read(&[("10-x.conf", text.as_bytes())]).1
}

#[test]
fn settings_say_what_repart_d_says_they_do() {
    let text = "Type=root\nLabel=os_%A\nUUID=null\nFormat=ext4\nCopyFiles=/:/\nCopyFiles=/etc:/factory/etc\n\
                CopyFiles=/opt\nExcludeFiles=/usr/ /boot\nMakeDirectories=/usr /efi\nMakeSymlinks=/bin:usr/bin\n\
                SizeMinBytes=100M\nSizeMaxBytes=1G\nPaddingMinBytes=1\nMinimize=guess\nWeight=500\nPriority=-1\n\
                FactoryReset=yes\nSplitName=%t_%A.%n\nMountPoint=/\n";
    let (found, problems) = one(text);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(found.label.as_deref(), Some("os_1.2"));
    assert_eq!(found.uuid, Some(uuid::Uuid::nil()));
    assert_eq!(found.format, Some(PartitionFormat::Ext4));
    let copied: Vec<_> = found
        .copied
        .iter()
        .map(|copied| format!("{}:{}", copied.source, copied.target))
        .collect();
    assert_eq!(copied, [":", "etc:factory/etc", "opt:opt"]);
    let excluded: Vec<_> = found
        .excluded
        .iter()
        .map(|excluded| (excluded.path.to_string(), excluded.contents_only))
        .collect();
    assert_eq!(excluded, [("usr".into(), true), ("boot".into(), false)]);
    let directories: Vec<_> = found.directories.iter().map(ToString::to_string).collect();
    assert_eq!(directories, ["usr", "efi"]);
    assert_eq!(found.symlinks[0].1, "usr/bin");
    assert_eq!(found.least_bytes(), 100 << 20);
    assert_eq!(found.size_max_bytes, Some(1 << 30));
    assert_eq!(found.padding_min_bytes, 4096);
    assert_eq!(found.split_name.as_deref(), Some("root-x86-64_1.2.1"));
    assert_eq!(found.attributes, GROW_FILE_SYSTEM);
}

#[test]
fn attributes_are_those_that_repart_gives() {
    for (text, expected) in [
        ("Type=root", GROW_FILE_SYSTEM),
        ("Type=home\nReadOnly=yes", READ_ONLY),
        (
            "Type=home\nReadOnly=yes\nGrowFileSystem=yes",
            READ_ONLY | GROW_FILE_SYSTEM,
        ),
        ("Type=home\nGrowFileSystem=no", 0),
        ("Type=srv\nNoAuto=yes", NO_AUTO | GROW_FILE_SYSTEM),
        ("Type=swap\nNoAuto=yes", NO_AUTO),
        ("Type=esp", 0),
        ("Type=linux-generic\nFlags=0x5", 5),
        ("Type=linux-generic\nFlags=0b101", 5),
        ("Type=var\nFlags=0x0800000000000001\nGrowFileSystem=no", 1),
    ] {
        let (found, problems) = one(text);
        assert_eq!(problems, Vec::<String>::new(), "{text}");
        assert_eq!(found.attributes, expected, "{text}");
    }
}

#[test]
fn file_systems_have_the_compression_that_they_are_given() {
    let compression = |text: &str| match one(text).0.format {
        Some(PartitionFormat::Packed(payload)) => payload.compression(),
        other => panic!("{other:?}"),
    };
    assert_eq!(compression("Type=usr\nFormat=erofs"), FileCompression::None);
    assert_eq!(
        compression("Type=usr\nFormat=squashfs"),
        FileCompression::Zstd
    );
    assert_eq!(
        compression("Type=usr\nFormat=erofs\nCompression=lz4hc\nCompressionLevel=9"),
        FileCompression::Lz4Hc
    );
    // With files and no name systemd-repart takes ext4.
    assert_eq!(
        one("Type=usr\nCopyFiles=/usr:/").0.format,
        Some(PartitionFormat::Ext4)
    );
    assert_eq!(one("Type=usr").0.format, None);
}

#[test]
fn mistakes_are_told_with_their_lines() {
    for (text, expected) in [
        (
            "Type=rooot\n",
            "10-x.conf:2: `Type=` is `rooot`, expected the name of a partition type, or its UUID",
        ),
        (
            "Type=root\nFromat=ext4\n",
            "10-x.conf:3: unknown setting `Fromat=` in `[Partition]`",
        ),
        (
            "Type=root\nFormat=vfat\n",
            "10-x.conf:3: `Format=vfat` is not supported: FAT is for boot loaders, and bootable images are out of scope",
        ),
        (
            "Type=root\nFormat=btrfs\n",
            "10-x.conf:3: `Format=btrfs` is not supported: `erofs`, `squashfs` and `ext4` are the ones that are written",
        ),
        (
            "Type=root\nEncrypt=tpm2\n",
            "10-x.conf:3: `Encrypt=tpm2` is not supported: partitions are not encrypted",
        ),
        (
            "Type=root\nCopyBlocks=auto\n",
            "10-x.conf:3: `CopyBlocks=auto` is not supported: file systems are made of files; say `CopyFiles=`",
        ),
        (
            "Type=root\nCopyFiles=usr\n",
            "10-x.conf:3: `CopyFiles=` is `usr`, expected absolute paths",
        ),
        (
            "Type=root\nSizeMinBytes=2T\n",
            "10-x.conf:3: `SizeMinBytes=` is `2T`, expected at most `1T`",
        ),
        (
            "Type=root\nLabel=%m\n",
            "10-x.conf:3: `Label=%m` is not supported: `%m` stands for something of the host or the finished image",
        ),
        (
            "Type=root\nFormat=ext4\nMinimize=best\n",
            "10-x.conf:4: `Minimize=best` is not supported: it is for file systems that are never written to; `guess` is for others",
        ),
        (
            "Type=root\nVerity=data\nFormat=erofs\n",
            "10-x.conf:3: `Verity=data` is not supported: `VerityMatchKey=` has to say which partitions belong together",
        ),
        (
            "Type=root\nSizeMinBytes=8K\nSizeMaxBytes=4K\n",
            "10-x.conf:4: `SizeMaxBytes=` is `4096`, expected 8192 or more, which `SizeMinBytes=` is",
        ),
        (
            "Type=root\n[Partitoin]\nLabel=x\n",
            "10-x.conf:3: unknown section `[Partitoin]`",
        ),
        (
            "Label=x\n",
            "10-x.conf: the definition does not say what partition it is of",
        ),
        (
            "Type=root-verity\n",
            "10-x.conf:2: `Type=root-x86-64-verity` is not supported: partitions of this type need `Verity=hash`",
        ),
    ] {
        assert_eq!(problems(text), [expected], "{text}");
    }
}

#[test]
fn sets_of_partitions_belong_together_by_their_key() {
    let part = |kind: &str, verity: &str, key: &str| {
        format!("[Partition]\nType={kind}\nVerity={verity}\nVerityMatchKey={key}\n")
    };
    let files = [
        ("1.conf", part("usr-verity-sig", "signature", "u")),
        ("2.conf", part("usr-verity", "hash", "u")),
        ("3.conf", part("usr", "data", "u") + "Format=erofs\n"),
        ("4.conf", part("root", "data", "r") + "Format=erofs\n"),
    ];
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| (*name, text.as_bytes()))
        .collect();
    let (definitions, problems) = read(&files);
    let found: Vec<_> = definitions.iter().map(|found| found.verity).collect();
    assert_eq!(
        found,
        [
            VerityPart::Signature { of: 2 },
            VerityPart::Hash { of: 2 },
            VerityPart::Data,
            VerityPart::None
        ]
    );
    assert_eq!(
        problems,
        [
            "4.conf:2: `Verity=data` is not supported: there is no partition with `Verity=hash` and `VerityMatchKey=r`"
        ]
    );
}
