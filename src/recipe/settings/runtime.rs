//! The settings of `[Runtime]`: all are accepted, none changes an image.

use super::{Magic, Scope, Section, Setting};
use crate::recipe::names::Rule;
use crate::recipe::values::Kind;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        Section::Runtime,
        "NSpawnSettings",
        "settings",
        Kind::Path,
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
        Kind::List(Rule::Any),
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
        Kind::List(Rule::Any),
        "Trees to mount when run",
    )
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "RuntimeSize",
        "runtime-size",
        Kind::Text(Rule::Any),
        "Size to grow the image to when run",
    )
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "RuntimeNetwork",
        "runtime-network",
        Kind::Text(Rule::Any),
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
        Kind::Path,
        "Key for SSH into the image",
    )
    .scope(Scope::Main)
    .magic(&[Magic::Path("mkosi.key")])
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "SshCertificate",
        "ssh-certificate",
        Kind::Path,
        "Certificate for SSH into the image",
    )
    .scope(Scope::Main)
    .magic(&[Magic::Path("mkosi.crt")])
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "VirtualMachineMonitor",
        "vmm",
        Kind::Text(Rule::Any),
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
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "ForwardJournal",
        "forward-journal",
        Kind::Path,
        "Where the journal is forwarded to",
    )
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "SysupdateDirectory",
        "sysupdate-directory",
        Kind::Path,
        "Definitions for systemd-sysupdate",
    )
    .scope(Scope::Main)
    .magic(&[Magic::Path("mkosi.sysupdate")])
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "Console",
        "console",
        Kind::Text(Rule::Any),
        "Console of the machine",
    )
    .scope(Scope::Main)
    .default("native")
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "CPUs",
        "cpus",
        Kind::Text(Rule::Any),
        "Processors of the machine",
    )
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "RAM",
        "ram",
        Kind::Text(Rule::Any),
        "Memory of the machine",
    )
    .scope(Scope::Main)
    .default("2G")
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "MaxMem",
        "maxmem",
        Kind::Text(Rule::Any),
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
        Kind::Text(Rule::Any),
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
        Kind::Text(Rule::Any),
        "Type of the disk",
    )
    .scope(Scope::Main)
    .default("virtio-blk")
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "Firmware",
        "firmware",
        Kind::Text(Rule::Any),
        "Firmware of the machine",
    )
    .scope(Scope::Main)
    .default("auto")
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "FirmwareVariables",
        "firmware-variables",
        Kind::Text(Rule::Any),
        "Variables of the firmware",
    )
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "Linux",
        "linux",
        Kind::Text(Rule::Any),
        "Kernel to start directly",
    )
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "Drives",
        "drive",
        Kind::SpacedList,
        "More drives",
    )
    .scope(Scope::Main)
    .no_effect("it matters only when an image is run"),
    Setting::new(
        Section::Runtime,
        "QemuArgs",
        "qemu-args",
        Kind::SpacedList,
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
