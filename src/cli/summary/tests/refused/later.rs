//! Text that is no value of a setting of validation, of builds or of running systems.

pub(super) const REFUSED: &[(&str, &str, &str)] = &[
    (
        "SecureBoot",
        "maybe",
        "`SecureBoot=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "SecureBootAutoEnroll",
        "maybe",
        "`SecureBootAutoEnroll=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "SecureBootKey",
        "open",
        "others may open `open`, which is to be secret: its mode is 0644",
    ),
    (
        "SecureBootKeySource",
        "zzz",
        "`SecureBootKeySource=` is `zzz`, expected `file` or `engine:NAME` or `provider:NAME`",
    ),
    (
        "SecureBootCertificateSource",
        "engine:x",
        "`SecureBootCertificateSource=` is `engine:x`, expected `file` or `provider:NAME`",
    ),
    (
        "SecureBootSignTool",
        "bogus",
        "`SecureBootSignTool=` is `bogus`, expected one of `auto`, `sbsign`, `systemd-sbsign`",
    ),
    (
        "Verity",
        "bogus",
        "`Verity=` is `bogus`, expected one of `disabled`, `hash`, `signed`, `defer`, `auto`",
    ),
    (
        "VerityKey",
        "open",
        "others may open `open`, which is to be secret: its mode is 0644",
    ),
    (
        "VerityKeySource",
        "zzz",
        "`VerityKeySource=` is `zzz`, expected `file` or `engine:NAME` or `provider:NAME`",
    ),
    (
        "VerityCertificateSource",
        "engine:x",
        "`VerityCertificateSource=` is `engine:x`, expected `file` or `provider:NAME`",
    ),
    (
        "SignExpectedPcr",
        "x",
        "`SignExpectedPcr=` is `x`, expected `auto`, `enabled`, `disabled` or a boolean",
    ),
    (
        "SignExpectedPcrKey",
        "open",
        "others may open `open`, which is to be secret: its mode is 0644",
    ),
    (
        "SignExpectedPcrKeySource",
        "zzz",
        "`SignExpectedPcrKeySource=` is `zzz`, expected `file` or `engine:NAME` or `provider:NAME`",
    ),
    (
        "SignExpectedPcrCertificateSource",
        "engine:x",
        "`SignExpectedPcrCertificateSource=` is `engine:x`, expected `file` or `provider:NAME`",
    ),
    (
        "SignInitrdPCRs",
        "x",
        "`SignInitrdPCRs=` is `x`, expected `auto`, `enabled`, `disabled` or a boolean",
    ),
    (
        "Passphrase",
        "open",
        "others may open `open`, which is to be secret: its mode is 0644",
    ),
    (
        "Checksum",
        "maybe",
        "`Checksum=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "Sign",
        "maybe",
        "`Sign=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "ToolsTree",
        "nope",
        "`ToolsTree=` is `nope`, expected the path of something that is there",
    ),
    (
        "ToolsTreeDistribution",
        "bogus",
        "`ToolsTreeDistribution=` is `bogus`, expected one of `fedora`, `debian`, `kali`, `ubuntu`, `postmarketos`, `arch`, `opensuse`, `mageia`, `centos`, `rhel`, `rhel-ubi`, `openmandriva`, `rocky`, `alma`, `azure`, `custom`",
    ),
    (
        "ToolsTreeSandboxTrees",
        "sub:x",
        "`ToolsTreeSandboxTrees=` is `sub:x`, expected `SOURCE` or `SOURCE:TARGET` with an absolute target",
    ),
    (
        "ToolsTreePackageDirectories",
        "nope",
        "`ToolsTreePackageDirectories=` is `nope`, expected the path of something that is there",
    ),
    (
        "ToolsTreeCertificates",
        "maybe",
        "`ToolsTreeCertificates=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "ExtraSearchPaths",
        "/usr",
        "`ExtraSearchPaths=` is `/usr`, expected a path that does not lie in `/usr`",
    ),
    (
        "Incremental",
        "bogus",
        "`Incremental=` is `bogus`, expected one of `yes`, `no`, `strict`",
    ),
    (
        "CacheOnly",
        "none",
        "`CacheOnly=` is `none`, expected one of `always`, `auto`, `metadata`, `never`",
    ),
    (
        "SandboxTrees",
        "sub:x",
        "`SandboxTrees=` is `sub:x`, expected `SOURCE` or `SOURCE:TARGET` with an absolute target",
    ),
    (
        "UseSubvolumes",
        "x",
        "`UseSubvolumes=` is `x`, expected `auto`, `enabled`, `disabled` or a boolean",
    ),
    (
        "RepartOffline",
        "maybe",
        "`RepartOffline=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "BuildSources",
        "f",
        "`BuildSources=` is `f`, expected a directory",
    ),
    (
        "BuildSourcesEphemeral",
        "bogus",
        "`BuildSourcesEphemeral=` is `bogus`, expected one of `yes`, `no`, `buildcache`",
    ),
    (
        "Environment",
        "A=\"x",
        r#"`Environment=` is `A="x`, expected words with every quote closed"#,
    ),
    (
        "EnvironmentFiles",
        "nope",
        "`EnvironmentFiles=` is `nope`, expected the path of something that is there",
    ),
    (
        "WithTests",
        "maybe",
        "`WithTests=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "WithNetwork",
        "maybe",
        "`WithNetwork=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "ProxyPeerCertificate",
        "nope",
        "`ProxyPeerCertificate=` is `nope`, expected the path of something that is there",
    ),
    (
        "ProxyClientCertificate",
        "open",
        "others may open `open`, which is to be secret: its mode is 0644",
    ),
    (
        "ProxyClientKey",
        "open",
        "others may open `open`, which is to be secret: its mode is 0644",
    ),
    (
        "MakeScriptsExecutable",
        "maybe",
        "`MakeScriptsExecutable=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "ForeignUIDRange",
        "maybe",
        "`ForeignUIDRange=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "DelegateRanges",
        "x",
        "`DelegateRanges=` is `x`, expected a whole number",
    ),
    (
        "NSpawnSettings",
        "nope",
        "`NSpawnSettings=` is `nope`, expected the path of something that is there",
    ),
    (
        "Ephemeral",
        "maybe",
        "`Ephemeral=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "Credentials",
        "nope",
        "`Credentials=` is `nope`, expected `NAME=VALUE`, or the path of a file or directory",
    ),
    (
        "RuntimeSize",
        "0",
        "`RuntimeSize=` is `0`, expected a number of bytes above zero, with `K`, `M` or `G`",
    ),
    (
        "RuntimeNetwork",
        "bogus",
        "`RuntimeNetwork=` is `bogus`, expected one of `interface`, `user`, `none`",
    ),
    (
        "RuntimeBuildSources",
        "maybe",
        "`RuntimeBuildSources=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "BindUser",
        "maybe",
        "`BindUser=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "SshKey",
        "open",
        "others may open `open`, which is to be secret: its mode is 0644",
    ),
    (
        "SshCertificate",
        "nope",
        "`SshCertificate=` is `nope`, expected the path of something that is there",
    ),
    (
        "VirtualMachineMonitor",
        "bogus",
        "`VirtualMachineMonitor=` is `bogus`, expected one of `qemu`, `vmspawn`",
    ),
    (
        "SysupdateDirectory",
        "nope",
        "`SysupdateDirectory=` is `nope`, expected the path of something that is there",
    ),
    (
        "Console",
        "bogus",
        "`Console=` is `bogus`, expected one of `interactive`, `read-only`, `native`, `gui`, `headless`",
    ),
    ("CPUs", "x", "`CPUs=` is `x`, expected a whole number"),
    (
        "RAM",
        "0",
        "`RAM=` is `0`, expected a number of bytes above zero, with `K`, `M` or `G`",
    ),
    (
        "MaxMem",
        "0",
        "`MaxMem=` is `0`, expected a number of bytes above zero, with `K`, `M` or `G`",
    ),
    (
        "KVM",
        "x",
        "`KVM=` is `x`, expected `auto`, `enabled`, `disabled` or a boolean",
    ),
    (
        "CXL",
        "maybe",
        "`CXL=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "VSock",
        "x",
        "`VSock=` is `x`, expected `auto`, `enabled`, `disabled` or a boolean",
    ),
    (
        "VSockCID",
        "2",
        "`VSockCID=` is `2`, expected `auto`, `hash` or a number from 3 to 4294967294",
    ),
    (
        "TPM",
        "x",
        "`TPM=` is `x`, expected `auto`, `enabled`, `disabled` or a boolean",
    ),
    (
        "Removable",
        "maybe",
        "`Removable=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "DiskType",
        "bogus",
        "`DiskType=` is `bogus`, expected one of `virtio-blk`, `virtio-scsi`, `nvme`, `scsi-cd`",
    ),
    (
        "Firmware",
        "bogus",
        "`Firmware=` is `bogus`, expected one of `auto`, `linux`, `linux-noinitrd`, `uefi`, `uefi-secure-boot`",
    ),
    (
        "Drives",
        "a",
        "`Drives=` is `a`, expected `ID:SIZE[:DIRECTORY[:OPTIONS[:FILE[:FLAGS]]]]`",
    ),
    (
        "QemuArgs",
        "\"x",
        r#"`QemuArgs=` is `"x`, expected words with every quote closed"#,
    ),
    (
        "Register",
        "x",
        "`Register=` is `x`, expected `auto`, `enabled`, `disabled` or a boolean",
    ),
    (
        "StorageTargetMode",
        "x",
        "`StorageTargetMode=` is `x`, expected `auto`, `enabled`, `disabled` or a boolean",
    ),
    (
        "Dependencies",
        "a/b",
        "image `main` depends on `a/b`, which does not exist",
    ),
    (
        "OciAnnotations",
        "a='",
        "`OciAnnotations=` is `a='`, expected words with every quote closed",
    ),
    (
        "History",
        "maybe",
        "`History=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "FileSystem",
        "ext4",
        "`FileSystem=` is `ext4`, expected one of `erofs`, `squashfs`",
    ),
    (
        "Compression",
        "bz2",
        "`Compression=` is `bz2`, expected one of `auto`, `none`, `zstd`, `lz4`, `lz4hc`, `xz`, `gzip`",
    ),
    (
        "CompressionLevel",
        "-1",
        "`CompressionLevel=` is `-1`, expected a whole number, zero or more",
    ),
    (
        "ExtensionScope",
        "host",
        "`ExtensionScope=` is `host`, expected one of `initrd`, `system`, `portable`",
    ),
    (
        "ReloadManager",
        "maybe",
        "`ReloadManager=` is `maybe`, expected a boolean (`yes` or `no`)",
    ),
    (
        "OciLayout",
        "tar",
        "`OciLayout=` is `tar`, expected one of `directory`, `archive`",
    ),
];
