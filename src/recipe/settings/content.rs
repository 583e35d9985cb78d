//! The settings of `[Content]`.

use super::{Magic, Matcher, Scope, Section, Setting};
use crate::recipe::names::Rule;
use crate::recipe::values::{Kind, PathRule, TreeRule};

const SSH: Kind = Kind::ChoiceOrBoolean {
    choices: &["always", "auto", "runtime", "never"],
    yes: "always",
    no: "never",
};

const UNIFIED_KERNEL_IMAGES: Kind = Kind::ChoiceOrBoolean {
    choices: &["none", "auto", "signed", "unsigned"],
    yes: "signed",
    no: "none",
};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        Section::Content,
        "Packages",
        "package",
        Kind::Packages,
        "Packages to install",
    )
    .tools()
    .short('p'),
    Setting::new(
        Section::Content,
        "BuildPackages",
        "build-package",
        Kind::Packages,
        "Packages that only build scripts see",
    ),
    Setting::new(
        Section::Content,
        "VolatilePackages",
        "volatile-package",
        Kind::Packages,
        "Packages to install after the build scripts",
    ),
    Setting::new(
        Section::Content,
        "PackageDirectories",
        "package-directory",
        Kind::Paths(PathRule::PRESENT),
        "Directories of local packages",
    )
    .tools()
    .scope(Scope::Universal)
    .magic(&[Magic::Path("mkosi.packages")]),
    Setting::new(
        Section::Content,
        "VolatilePackageDirectories",
        "volatile-package-directory",
        Kind::Paths(PathRule::PRESENT),
        "Directories of local packages that change often",
    )
    .scope(Scope::Universal),
    Setting::new(
        Section::Content,
        "WithRecommends",
        "with-recommends",
        Kind::Boolean,
        "Install recommended packages",
    )
    .default("no"),
    Setting::new(
        Section::Content,
        "WithDocs",
        "with-docs",
        Kind::Boolean,
        "Keep documentation",
    )
    .default("yes"),
    Setting::new(
        Section::Content,
        "BaseTrees",
        "base-tree",
        Kind::Paths(PathRule::ANY),
        "Trees the image sits on",
    ),
    Setting::new(
        Section::Content,
        "SkeletonTrees",
        "skeleton-tree",
        Kind::Trees(TreeRule {
            required: true,
            directory: false,
            absolute: true,
        }),
        "Trees to copy before packages are installed",
    )
    .magic(&[
        Magic::Path("mkosi.skeleton"),
        Magic::Path("mkosi.skeleton.tar"),
    ]),
    Setting::new(
        Section::Content,
        "ExtraTrees",
        "extra-tree",
        Kind::Trees(TreeRule {
            required: false,
            directory: false,
            absolute: true,
        }),
        "Trees to copy after packages are installed",
    )
    .magic(&[Magic::Path("mkosi.extra"), Magic::Path("mkosi.extra.tar")]),
    Setting::new(
        Section::Content,
        "RemovePackages",
        "remove-package",
        Kind::List(Rule::Package),
        "Packages to remove at the end",
    ),
    Setting::new(
        Section::Content,
        "RemoveFiles",
        "remove-files",
        Kind::List(Rule::Any),
        "Files to remove at the end (patterns)",
    ),
    Setting::new(
        Section::Content,
        "CleanPackageMetadata",
        "clean-package-metadata",
        Kind::Feature,
        "Remove the databases of package managers",
    )
    .default("auto"),
    Setting::new(
        Section::Content,
        "SourceDateEpoch",
        "source-date-epoch",
        Kind::Number,
        "Latest time of files, in seconds since 1970",
    )
    .nullable()
    .scope(Scope::Multiversal)
    .described("`SOURCE_DATE_EPOCH` of `Environment=`, then of the environment"),
    Setting::new(
        Section::Content,
        "SyncScripts",
        "sync-script",
        Kind::Scripts,
        "Programs to run before the build",
    )
    .tools()
    .magic(&[
        Magic::Path("mkosi.sync"),
        Magic::Entries("mkosi.sync.d", ""),
    ]),
    Setting::new(
        Section::Content,
        "PrepareScripts",
        "prepare-script",
        Kind::Scripts,
        "Programs to run after packages are installed",
    )
    .tools()
    .magic(&[
        Magic::Path("mkosi.prepare"),
        Magic::Path("mkosi.prepare.chroot"),
        Magic::Entries("mkosi.prepare.d", ""),
    ]),
    Setting::new(
        Section::Content,
        "BuildScripts",
        "build-script",
        Kind::Scripts,
        "Programs that build from source",
    )
    .magic(&[
        Magic::Path("mkosi.build"),
        Magic::Path("mkosi.build.chroot"),
        Magic::Entries("mkosi.build.d", ""),
    ]),
    Setting::new(
        Section::Content,
        "PostInstallationScripts",
        "postinst-script",
        Kind::Scripts,
        "Programs to run after the extra trees",
    )
    .magic(&[
        Magic::Path("mkosi.postinst"),
        Magic::Path("mkosi.postinst.chroot"),
        Magic::Entries("mkosi.postinst.d", ""),
    ]),
    Setting::new(
        Section::Content,
        "FinalizeScripts",
        "finalize-script",
        Kind::Scripts,
        "Programs to run last",
    )
    .magic(&[
        Magic::Path("mkosi.finalize"),
        Magic::Path("mkosi.finalize.chroot"),
        Magic::Entries("mkosi.finalize.d", ""),
    ]),
    Setting::new(
        Section::Content,
        "PostOutputScripts",
        "postoutput-script",
        Kind::Scripts,
        "Programs to run on the outputs",
    )
    .magic(&[
        Magic::Path("mkosi.postoutput"),
        Magic::Entries("mkosi.postoutput.d", ""),
    ]),
    Setting::new(
        Section::Content,
        "Bootable",
        "bootable",
        Kind::Feature,
        "Make the image bootable",
    )
    .matched(Matcher::Equal)
    .default("auto")
    .unsupported("bootable images are out of scope", &["auto", "disabled"]),
    Setting::new(
        Section::Content,
        "Bootloader",
        "bootloader",
        Kind::Choice(&[
            "none",
            "uki",
            "systemd-boot",
            "grub",
            "uki-signed",
            "systemd-boot-signed",
            "grub-signed",
        ]),
        "UEFI boot loader",
    )
    .matched(Matcher::Equal)
    .default("systemd-boot")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Content,
        "BiosBootloader",
        "bios-bootloader",
        Kind::Choice(&["none", "grub"]),
        "BIOS boot loader",
    )
    .default("none")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Content,
        "ShimBootloader",
        "shim-bootloader",
        Kind::Choice(&["none", "signed", "unsigned"]),
        "Shim boot loader",
    )
    .default("none")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Content,
        "UnifiedKernelImages",
        "unified-kernel-images",
        UNIFIED_KERNEL_IMAGES,
        "Make unified kernel images",
    )
    .default("auto")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Content,
        "UnifiedKernelImageFormat",
        "unified-kernel-image-format",
        Kind::Delayed(Rule::FileName, "ekh"),
        "Name of unified kernel images",
    )
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Content,
        "UnifiedKernelImageProfiles",
        "uki-profile",
        Kind::UkiProfiles,
        "Profiles of unified kernel images",
    )
    .magic(&[Magic::Entries("mkosi.uki-profiles", ".conf")])
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Content,
        "Initrds",
        "initrd",
        Kind::Paths(PathRule {
            words: &["default"],
            ..PathRule::ANY
        }),
        "Initrds of the image",
    )
    .described("`default` for a bootable image with a kernel")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Content,
        "MicrocodeHost",
        "microcode-host",
        Kind::Boolean,
        "Only microcode for the host",
    )
    .default("no")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Content,
        "InitrdProfiles",
        "initrd-profile",
        Kind::List(Rule::Any),
        "Profiles of the default initrd",
    )
    .scope(Scope::Initrd)
    .no_effect("no default initrd is built"),
    Setting::new(
        Section::Content,
        "InitrdPackages",
        "initrd-package",
        Kind::List(Rule::Package),
        "Packages of the default initrd",
    )
    .scope(Scope::Initrd)
    .no_effect("no default initrd is built"),
    Setting::new(
        Section::Content,
        "InitrdVolatilePackages",
        "initrd-volatile-package",
        Kind::List(Rule::Package),
        "Volatile packages of the default initrd",
    )
    .scope(Scope::Initrd)
    .no_effect("no default initrd is built"),
    Setting::new(
        Section::Content,
        "Devicetrees",
        "devicetrees",
        Kind::List(Rule::Any),
        "Device trees",
    )
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Content,
        "Splash",
        "splash",
        Kind::Path(PathRule {
            absolute: true,
            ..PathRule::ANY
        }),
        "Boot splash",
    )
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Content,
        "KernelCommandLine",
        "kernel-command-line",
        Kind::SpacedList,
        "Kernel command line",
    )
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Content,
        "KernelModulesInclude",
        "kernel-modules-include",
        Kind::Expressions,
        "Kernel modules to keep (regular expressions)",
    )
    .destination("KernelModules")
    .unsupported(
        "regular expressions are not read; write patterns instead",
        &[],
    ),
    Setting::new(
        Section::Content,
        "KernelModulesExclude",
        "kernel-modules-exclude",
        Kind::Expressions,
        "Kernel modules to drop (regular expressions)",
    )
    .unsupported(
        "regular expressions are not read; write patterns instead",
        &[],
    ),
    Setting::new(
        Section::Content,
        "KernelModules",
        "kernel-modules",
        Kind::List(Rule::Any),
        "Kernel modules to keep (patterns)",
    ),
    Setting::new(
        Section::Content,
        "KernelModulesIncludeHost",
        "kernel-modules-include-host",
        Kind::Boolean,
        "Keep the kernel modules the host has loaded",
    )
    .default("no")
    .unsupported(
        "an image does not depend on the machine that it is built on",
        &["no"],
    ),
    Setting::new(
        Section::Content,
        "KernelModulesInitrd",
        "kernel-modules-initrd",
        Kind::Boolean,
        "Add an initrd of kernel modules",
    )
    .default("yes")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Content,
        "KernelModulesInitrdInclude",
        "kernel-modules-initrd-include",
        Kind::Expressions,
        "Kernel modules to keep in the initrd (regular expressions)",
    )
    .destination("KernelInitrdModules")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Content,
        "KernelModulesInitrdExclude",
        "kernel-modules-initrd-exclude",
        Kind::Expressions,
        "Kernel modules to drop from the initrd (regular expressions)",
    )
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Content,
        "KernelInitrdModules",
        "kernel-initrd-modules",
        Kind::List(Rule::Any),
        "Kernel modules to keep in the initrd (patterns)",
    )
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Content,
        "KernelModulesInitrdIncludeHost",
        "kernel-modules-initrd-include-host",
        Kind::Boolean,
        "Keep in the initrd the kernel modules the host has loaded",
    )
    .default("no")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Content,
        "FirmwareInclude",
        "firmware-include",
        Kind::Expressions,
        "Firmware to keep (regular expressions)",
    )
    .destination("FirmwareFiles")
    .unsupported(
        "regular expressions are not read; write patterns instead",
        &[],
    ),
    Setting::new(
        Section::Content,
        "FirmwareExclude",
        "firmware-exclude",
        Kind::Expressions,
        "Firmware to drop (regular expressions)",
    )
    .unsupported(
        "regular expressions are not read; write patterns instead",
        &[],
    ),
    Setting::new(
        Section::Content,
        "FirmwareFiles",
        "firmware-files",
        Kind::List(Rule::Any),
        "Firmware to keep (patterns)",
    ),
    Setting::new(
        Section::Content,
        "Locale",
        "locale",
        Kind::Text(Rule::Any),
        "Locale of the system",
    ),
    Setting::new(
        Section::Content,
        "LocaleMessages",
        "locale-messages",
        Kind::Text(Rule::Any),
        "Locale of messages",
    ),
    Setting::new(
        Section::Content,
        "Keymap",
        "keymap",
        Kind::Text(Rule::Any),
        "Keymap of the console",
    )
    .scope(Scope::InitrdInherit),
    Setting::new(
        Section::Content,
        "Timezone",
        "timezone",
        Kind::Text(Rule::Any),
        "Time zone",
    )
    .scope(Scope::InitrdInherit),
    Setting::new(
        Section::Content,
        "Hostname",
        "hostname",
        Kind::Text(Rule::Any),
        "Host name",
    )
    .scope(Scope::InitrdInherit),
    Setting::new(
        Section::Content,
        "RootPassword",
        "root-password",
        Kind::Password,
        "Password of root",
    )
    .scope(Scope::InitrdInherit)
    .magic(&[Magic::Text("mkosi.rootpw")]),
    Setting::new(
        Section::Content,
        "RootShell",
        "root-shell",
        Kind::Text(Rule::Any),
        "Shell of root",
    ),
    Setting::new(
        Section::Content,
        "MachineId",
        "machine-id",
        Kind::Uuid,
        "Machine identifier",
    )
    .magic(&[Magic::Text("mkosi.machine-id")]),
    Setting::new(
        Section::Content,
        "Autologin",
        "autologin",
        Kind::Boolean,
        "Log root in without a password",
    )
    .short_for('a', "yes")
    .default("no"),
    Setting::new(
        Section::Content,
        "MakeInitrd",
        "make-initrd",
        Kind::Boolean,
        "Make the image an initrd",
    )
    .default("no"),
    Setting::new(
        Section::Content,
        "Ssh",
        "ssh",
        SSH,
        "Reach the system by SSH over vsock",
    )
    .default("auto")
    .unsupported("sshd units are not written yet", &["auto", "never"]),
    Setting::new(
        Section::Content,
        "SELinuxRelabel",
        "selinux-relabel",
        Kind::Feature,
        "Label files for SELinux",
    )
    .default("auto"),
];
