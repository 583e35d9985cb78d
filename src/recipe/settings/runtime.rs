//! The settings of `[Runtime]`: all are accepted, none changes an image.

use super::{Magic, Scope, Section, Setting};
use crate::recipe::names::Rule;
use crate::recipe::values::{Kind, PathRule, TreeRule};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        Section::Runtime,
        "NSpawnSettings",
        "settings",
        Kind::Path(PathRule::PRESENT),
        "Settings for systemd-nspawn",
    )
    .scope(Scope::Main)
    .magic(&[Magic::Path("mkosi.nspawn")])
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "Ephemeral",
        "ephemeral",
        Kind::Boolean,
        "Run a copy of the image",
    )
    .scope(Scope::Main)
    .default("no")
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "Credentials",
        "credential",
        Kind::Credentials,
        "Credentials for the running image",
    )
    .scope(Scope::Main)
    .magic(&[Magic::Path("mkosi.credentials")])
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "KernelCommandLineExtra",
        "kernel-command-line-extra",
        Kind::SpacedList,
        "More kernel command line when run",
    )
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "RuntimeTrees",
        "runtime-tree",
        Kind::Trees(TreeRule {
            required: false,
            directory: false,
            absolute: false,
        }),
        "Trees to mount when run",
    )
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "RuntimeSize",
        "runtime-size",
        Kind::Size,
        "Size to grow the image to when run",
    )
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "RuntimeNetwork",
        "runtime-network",
        Kind::Choice(&["interface", "user", "none"]),
        "Network of the running image",
    )
    .scope(Scope::Main)
    .default("user")
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "RuntimeBuildSources",
        "runtime-build-sources",
        Kind::Boolean,
        "Mount the sources when run",
    )
    .scope(Scope::Main)
    .default("no")
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "BindUser",
        "bind-user",
        Kind::Boolean,
        "Give the running image the user",
    )
    .scope(Scope::Main)
    .default("no")
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "SshKey",
        "ssh-key",
        Kind::Path(PathRule {
            secret: true,
            ..PathRule::PRESENT
        }),
        "Key for SSH into the image",
    )
    .scope(Scope::Main)
    .magic(&[Magic::Path("mkosi.key")])
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "SshCertificate",
        "ssh-certificate",
        Kind::Path(PathRule::PRESENT),
        "Certificate for SSH into the image",
    )
    .scope(Scope::Main)
    .magic(&[Magic::Path("mkosi.crt")])
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "VirtualMachineMonitor",
        "vmm",
        Kind::Choice(&["qemu", "vmspawn"]),
        "Virtual machine monitor",
    )
    .scope(Scope::Main)
    .default("qemu")
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "Machine",
        "machine",
        Kind::Text(Rule::Any),
        "Name of the machine",
    )
    .described("the name of the directory")
    .nullable()
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "ForwardJournal",
        "forward-journal",
        Kind::Path(PathRule::ANY),
        "Where the journal is forwarded to",
    )
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "SysupdateDirectory",
        "sysupdate-directory",
        Kind::Path(PathRule::PRESENT),
        "Definitions for systemd-sysupdate",
    )
    .scope(Scope::Main)
    .magic(&[Magic::Path("mkosi.sysupdate")])
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "Console",
        "console",
        Kind::Choice(&["interactive", "read-only", "native", "gui", "headless"]),
        "Console of the machine",
    )
    .scope(Scope::Main)
    .default("native")
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "CPUs",
        "cpus",
        Kind::Integer,
        "Processors of the machine",
    )
    .default("1")
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "RAM",
        "ram",
        Kind::Size,
        "Memory of the machine",
    )
    .scope(Scope::Main)
    .default("2G")
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "MaxMem",
        "maxmem",
        Kind::Size,
        "Most memory of the machine",
    )
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(Section::Runtime, "KVM", "kvm", Kind::Feature, "Use KVM")
        .scope(Scope::Main)
        .default("auto")
        .no_effect("it matters only when an image is run"),
    Setting::new(Section::Runtime, "CXL", "cxl", Kind::Boolean, "Use CXL")
        .scope(Scope::Main)
        .default("no")
        .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "VSock",
        "vsock",
        Kind::Feature,
        "Use vsock",
    )
    .scope(Scope::Main)
    .default("auto")
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "VSockCID",
        "vsock-cid",
        Kind::VsockNumber,
        "Vsock identifier",
    )
    .scope(Scope::Main)
    .default("auto")
    .no_effect("it matters only when an image is run"),
    Setting::new(Section::Runtime, "TPM", "tpm", Kind::Feature, "Use a TPM")
        .scope(Scope::Main)
        .default("auto")
        .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "Removable",
        "removable",
        Kind::Boolean,
        "Attach the image as a removable disk",
    )
    .scope(Scope::Main)
    .default("no")
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "DiskType",
        "disk-type",
        Kind::Choice(&["virtio-blk", "virtio-scsi", "nvme", "scsi-cd"]),
        "Type of the disk",
    )
    .scope(Scope::Main)
    .default("virtio-blk")
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "Firmware",
        "firmware",
        Kind::Choice(&[
            "auto",
            "linux",
            "linux-noinitrd",
            "uefi",
            "uefi-secure-boot",
        ]),
        "Firmware of the machine",
    )
    .scope(Scope::Main)
    .default("auto")
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "FirmwareVariables",
        "firmware-variables",
        Kind::Path(PathRule {
            words: &["custom", "microsoft", "microsoft-mok"],
            ..PathRule::ANY
        }),
        "Variables of the firmware",
    )
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "Linux",
        "linux",
        Kind::Delayed(Rule::Any, "b"),
        "Kernel to start directly",
    )
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "Drives",
        "drive",
        Kind::Drives,
        "More drives",
    )
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "QemuArgs",
        "qemu-args",
        Kind::ShellWords,
        "More arguments for QEMU",
    )
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "Register",
        "register",
        Kind::Feature,
        "Register with systemd-machined",
    )
    .scope(Scope::Main)
    .default("auto")
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "StorageTargetMode",
        "storage-target-mode",
        Kind::Feature,
        "Serve the disk over the network",
    )
    .scope(Scope::Main)
    .default("auto")
    .no_effect("it matters only when an image is run"),
];
