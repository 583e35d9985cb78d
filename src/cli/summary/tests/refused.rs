//! Text that is no value of its setting, and what is said of it.

mod later;

/// In the order of the sections.
pub(super) const REFUSED: [&[(&str, &str, &str)]; 2] = [EARLIER, later::REFUSED];

const EARLIER: &[(&str, &str, &str)] = &[
    ("Include", "nope", "nothing to include at `nope`"),
    (
        "Profiles",
        "a/b",
        "`Profiles=` is `a/b`, expected a file name, which has no `/` and is neither `.` nor `..`",
    ),
    (
        "MinimumVersion",
        "99",
        "`MinimumVersion=` is `99`, expected at most `27.1`, the version of the language that is read",
    ),
    (
        "Distribution",
        "bogus",
        "`Distribution=` is `bogus`, expected one of `fedora`, `debian`, `kali`, `ubuntu`, `postmarketos`, `arch`, `opensuse`, `mageia`, `centos`, `rhel`, `rhel-ubi`, `openmandriva`, `rocky`, `alma`, `azure`, `custom`",
    ),
    (
        "Architecture",
        "X86-64",
        "`Architecture=` is `X86-64`, expected one of `alpha`, `arc`, `arm`, `arm64`, `ia64`, `loongarch64`, `mips64-le`, `mips-le`, `parisc`, `ppc`, `ppc64`, `ppc64-le`, `riscv32`, `riscv64`, `s390`, `s390x`, `tilegx`, `x86`, `x86-64`",
    ),
    (
        "RepositoryKeyCheck",
        "maybe",
        "`RepositoryKeyCheck=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "RepositoryKeyFetch",
        "maybe",
        "`RepositoryKeyFetch=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "Format",
        "bogus",
        "`Format=` is `bogus`, expected one of `confext`, `cpio`, `directory`, `disk`, `esp`, `none`, `portable`, `sysext`, `tar`, `uki`, `oci`, `addon`",
    ),
    (
        "ManifestFormat",
        "x",
        "`ManifestFormat=` is `x`, expected one of `json`, `changelog`",
    ),
    (
        "Output",
        "a/b",
        "`Output=` is `a/b`, expected a file name, which has no `/` and is neither `.` nor `..`",
    ),
    (
        "OutputExtension",
        "a/b",
        "`OutputExtension=` is `a/b`, expected a file name, which has no `/` and is neither `.` nor `..`",
    ),
    (
        "OutputSize",
        "0",
        "`OutputSize=` is `0`, expected a number of bytes above zero, with `K`, `M` or `G`",
    ),
    (
        "CompressOutput",
        "x",
        "`CompressOutput=` is `x`, expected one of `none`, `zstd`, `xz`, `bz2`, `gz`, `lz4`, `lzma`",
    ),
    (
        "CompressLevel",
        "-1",
        "`CompressLevel=` is `-1`, expected a whole number, zero or more",
    ),
    (
        "OutputMode",
        "2000",
        "`OutputMode=` is `2000`, expected octal permission bits up to 1777",
    ),
    (
        "OciLabels",
        "a=\"x",
        r#"`OciLabels=` is `a="x`, expected words with every quote closed"#,
    ),
    (
        "SplitArtifacts",
        "x",
        "`SplitArtifacts=` is `x`, expected one of `uki`, `kernel`, `initrd`, `partitions`, `tar`, `pcrs`, `roothash`, `os-release`, `kernel-modules-initrd`, `repart-definitions`",
    ),
    (
        "RepartDirectories",
        "nope",
        "`RepartDirectories=` is `nope`, expected the path of something that is there",
    ),
    (
        "SectorSize",
        "1000",
        "`SectorSize=` is `1000`, expected 512, 1024, 2048 or 4096",
    ),
    (
        "Overlay",
        "maybe",
        "`Overlay=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    ("Seed", "x", "`Seed=` is `x`, expected a UUID or `random`"),
    (
        "ElTorito",
        "x",
        "`ElTorito=` is `x`, expected `auto`, `enabled`, `disabled` or a boolean",
    ),
    (
        "PackageDirectories",
        "nope",
        "`PackageDirectories=` is `nope`, expected the path of something that is there",
    ),
    (
        "VolatilePackageDirectories",
        "nope",
        "`VolatilePackageDirectories=` is `nope`, expected the path of something that is there",
    ),
    (
        "WithRecommends",
        "maybe",
        "`WithRecommends=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "WithDocs",
        "maybe",
        "`WithDocs=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "SkeletonTrees",
        "sub:x",
        "`SkeletonTrees=` is `sub:x`, expected `SOURCE` or `SOURCE:TARGET` with an absolute target",
    ),
    (
        "ExtraTrees",
        "sub:x",
        "`ExtraTrees=` is `sub:x`, expected `SOURCE` or `SOURCE:TARGET` with an absolute target",
    ),
    (
        "CleanPackageMetadata",
        "x",
        "`CleanPackageMetadata=` is `x`, expected `auto`, `enabled`, `disabled` or a boolean",
    ),
    (
        "SourceDateEpoch",
        "-1",
        "`SourceDateEpoch=` is `-1`, expected a whole number, zero or more",
    ),
    (
        "Bootable",
        "x",
        "`Bootable=` is `x`, expected `auto`, `enabled`, `disabled` or a boolean",
    ),
    (
        "Bootloader",
        "bogus",
        "`Bootloader=` is `bogus`, expected one of `none`, `uki`, `systemd-boot`, `grub`, `uki-signed`, `systemd-boot-signed`, `grub-signed`",
    ),
    (
        "BiosBootloader",
        "bogus",
        "`BiosBootloader=` is `bogus`, expected one of `none`, `grub`",
    ),
    (
        "ShimBootloader",
        "bogus",
        "`ShimBootloader=` is `bogus`, expected one of `none`, `signed`, `unsigned`",
    ),
    (
        "UnifiedKernelImages",
        "bogus",
        "`UnifiedKernelImages=` is `bogus`, expected one of `none`, `auto`, `signed`, `unsigned`",
    ),
    (
        "UnifiedKernelImageFormat",
        "a/b",
        "`UnifiedKernelImageFormat=` is `a/b`, expected a file name, which has no `/` and is neither `.` nor `..`",
    ),
    (
        "UnifiedKernelImageProfiles",
        "nope",
        "`UnifiedKernelImageProfiles=` is `nope`, expected the path of something that is there",
    ),
    (
        "MicrocodeHost",
        "maybe",
        "`MicrocodeHost=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "Splash",
        "a/b",
        "`Splash=` is `a/b`, expected an absolute path",
    ),
    (
        "KernelModulesIncludeHost",
        "maybe",
        "`KernelModulesIncludeHost=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "KernelModulesInitrd",
        "maybe",
        "`KernelModulesInitrd=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "KernelModulesInitrdIncludeHost",
        "maybe",
        "`KernelModulesInitrdIncludeHost=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "MachineId",
        "x",
        "`MachineId=` is `x`, expected a UUID or `random`",
    ),
    (
        "Autologin",
        "maybe",
        "`Autologin=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "MakeInitrd",
        "maybe",
        "`MakeInitrd=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "Ssh",
        "bogus",
        "`Ssh=` is `bogus`, expected one of `always`, `auto`, `runtime`, `never`",
    ),
    (
        "SELinuxRelabel",
        "x",
        "`SELinuxRelabel=` is `x`, expected `auto`, `enabled`, `disabled` or a boolean",
    ),
];
