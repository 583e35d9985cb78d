//! The table is whole and sound.

use std::collections::BTreeSet;

use super::*;
use crate::recipe::values::{self, Vantage};

/// Every setting of mkosi, section by section, in the order of its manual.
const NAMES: &[(&str, &[&str])] = &[
    ("Include", &["Include"]),
    (
        "Config",
        &[
            "Profiles",
            "Dependencies",
            "MinimumVersion",
            "ConfigureScripts",
            "PassEnvironment",
        ],
    ),
    (
        "Distribution",
        &[
            "Distribution",
            "Release",
            "Architecture",
            "Mirror",
            "Snapshot",
            "LocalMirror",
            "RepositoryKeyCheck",
            "RepositoryKeyFetch",
            "Repositories",
        ],
    ),
    (
        "Output",
        &[
            "Format",
            "ManifestFormat",
            "Output",
            "OutputExtension",
            "OutputSize",
            "CompressOutput",
            "CompressLevel",
            "OutputDirectory",
            "OutputMode",
            "ImageVersion",
            "ImageId",
            "OciLabels",
            "OciAnnotations",
            "SplitArtifacts",
            "RepartDirectories",
            "SectorSize",
            "Overlay",
            "Seed",
            "ElTorito",
            "ElToritoSystem",
            "ElToritoVolume",
            "ElToritoPublisher",
            "CleanScripts",
        ],
    ),
    (
        "Content",
        &[
            "Packages",
            "BuildPackages",
            "VolatilePackages",
            "PackageDirectories",
            "VolatilePackageDirectories",
            "WithRecommends",
            "WithDocs",
            "BaseTrees",
            "SkeletonTrees",
            "ExtraTrees",
            "RemovePackages",
            "RemoveFiles",
            "CleanPackageMetadata",
            "SourceDateEpoch",
            "SyncScripts",
            "PrepareScripts",
            "BuildScripts",
            "PostInstallationScripts",
            "FinalizeScripts",
            "PostOutputScripts",
            "Bootable",
            "Bootloader",
            "BiosBootloader",
            "ShimBootloader",
            "UnifiedKernelImages",
            "UnifiedKernelImageFormat",
            "UnifiedKernelImageProfiles",
            "Initrds",
            "MicrocodeHost",
            "InitrdProfiles",
            "InitrdPackages",
            "InitrdVolatilePackages",
            "Devicetrees",
            "Splash",
            "KernelCommandLine",
            "KernelModulesInclude",
            "KernelModulesExclude",
            "KernelModules",
            "KernelModulesIncludeHost",
            "KernelModulesInitrd",
            "KernelModulesInitrdInclude",
            "KernelModulesInitrdExclude",
            "KernelInitrdModules",
            "KernelModulesInitrdIncludeHost",
            "FirmwareInclude",
            "FirmwareExclude",
            "FirmwareFiles",
            "Locale",
            "LocaleMessages",
            "Keymap",
            "Timezone",
            "Hostname",
            "RootPassword",
            "RootShell",
            "MachineId",
            "Autologin",
            "MakeInitrd",
            "Ssh",
            "SELinuxRelabel",
        ],
    ),
    (
        "Validation",
        &[
            "SecureBoot",
            "SecureBootAutoEnroll",
            "SecureBootKey",
            "SecureBootKeySource",
            "SecureBootCertificate",
            "SecureBootCertificateSource",
            "SecureBootSignTool",
            "Verity",
            "VerityKey",
            "VerityKeySource",
            "VerityCertificate",
            "VerityCertificateSource",
            "SignExpectedPcr",
            "SignExpectedPcrKey",
            "SignExpectedPcrKeySource",
            "SignExpectedPcrCertificate",
            "SignExpectedPcrCertificateSource",
            "SignInitrdPCRs",
            "Passphrase",
            "Checksum",
            "Sign",
            "Key",
            "OpenPGPTool",
        ],
    ),
    (
        "Build",
        &[
            "ToolsTree",
            "ToolsTreeDistribution",
            "ToolsTreeRelease",
            "ToolsTreeProfiles",
            "ToolsTreeMirror",
            "ToolsTreeSnapshot",
            "ToolsTreeRepositories",
            "ToolsTreeSandboxTrees",
            "ToolsTreePackages",
            "ToolsTreePackageDirectories",
            "ToolsTreeCertificates",
            "ExtraSearchPaths",
            "Incremental",
            "CacheOnly",
            "SandboxTrees",
            "WorkspaceDirectory",
            "CacheDirectory",
            "CacheKey",
            "PackageCacheDirectory",
            "BuildDirectory",
            "BuildKey",
            "UseSubvolumes",
            "RepartOffline",
            "History",
            "BuildSources",
            "BuildSourcesEphemeral",
            "Environment",
            "EnvironmentFiles",
            "WithTests",
            "WithNetwork",
            "ProxyUrl",
            "ProxyExclude",
            "ProxyPeerCertificate",
            "ProxyClientCertificate",
            "ProxyClientKey",
            "MakeScriptsExecutable",
            "ForeignUIDRange",
            "DelegateRanges",
        ],
    ),
    (
        "Runtime",
        &[
            "NSpawnSettings",
            "Ephemeral",
            "Credentials",
            "KernelCommandLineExtra",
            "RuntimeTrees",
            "RuntimeSize",
            "RuntimeNetwork",
            "RuntimeBuildSources",
            "BindUser",
            "SshKey",
            "SshCertificate",
            "VirtualMachineMonitor",
            "Machine",
            "ForwardJournal",
            "SysupdateDirectory",
            "Console",
            "CPUs",
            "RAM",
            "MaxMem",
            "KVM",
            "CXL",
            "VSock",
            "VSockCID",
            "TPM",
            "Removable",
            "DiskType",
            "Firmware",
            "FirmwareVariables",
            "Linux",
            "Drives",
            "QemuArgs",
            "Register",
            "StorageTargetMode",
        ],
    ),
];

#[test]
fn every_setting_of_mkosi_has_its_row() {
    let expected: Vec<(&str, &str)> = NAMES
        .iter()
        .flat_map(|(section, names)| names.iter().map(move |name| (*section, *name)))
        .collect();
    let rows: Vec<(&str, &str)> = all()
        .filter(|setting| setting.section != Section::Overcoat)
        .map(|setting| (setting.section.name(), setting.name))
        .collect();
    assert_eq!(rows, expected);
    // Version 26 has 188 of them, and 27 three more.
    assert_eq!(rows.len(), 191);
}

#[test]
fn rows_are_sound() {
    let mut seen = BTreeSet::new();
    for setting in all() {
        assert!(!setting.help.is_empty(), "{} has help", setting.name);
        assert!(
            !setting.help.ends_with('.') && !setting.help.contains('\n'),
            "{}",
            setting.name
        );
        assert!(
            seen.insert(setting.name.to_owned()),
            "{} is there once",
            setting.name
        );
        assert!(
            seen.insert(format!("--{}", setting.long)),
            "--{} is there once",
            setting.long
        );
        if let Some(short) = setting.short {
            assert!(seen.insert(format!("-{short}")), "-{short} is there once");
        }
        if let Some(letter) = setting.specifier {
            assert!(seen.insert(format!("%{letter}")), "%{letter} is there once");
        }
        if let Some(value) = setting.short_value {
            assert!(
                values::parse(setting.kind, value, &Vantage::blind("/".as_ref())).is_ok(),
                "{}",
                setting.name
            );
        }
        if let Support::Unsupported { reason, .. } | Support::NoEffect(reason) = setting.support {
            assert!(!reason.is_empty(), "{} has a reason", setting.name);
        }
    }
}

#[test]
fn neutral_values_are_values() {
    for setting in all() {
        let Support::Unsupported { neutral, .. } = setting.support else {
            continue;
        };
        for value in neutral {
            let parsed = values::parse(setting.kind, value, &Vantage::blind("/".as_ref())).unwrap();
            assert_eq!(parsed[0].to_string(), *value, "{}", setting.name);
        }
        if !setting.default.is_empty() && !setting.described {
            let default =
                values::parse(setting.kind, setting.default, &Vantage::blind("/".as_ref()))
                    .unwrap();
            assert!(
                default
                    .iter()
                    .all(|value| neutral.contains(&value.to_string().as_str())),
                "the default of {} is neutral",
                setting.name
            );
        }
    }
}

#[test]
fn former_names_lead_to_present_ones() {
    for (former, present) in FORMER_NAMES {
        assert_eq!(named(former).map(|setting| setting.name), None);
        assert_eq!(
            former_name(former).map(|setting| setting.name),
            Some(*present)
        );
    }
    for (former, present) in FORMER_OPTIONS {
        assert!(all().all(|setting| setting.long != *former), "{former}");
        assert!(all().any(|setting| setting.long == *present), "{present}");
    }
}

#[test]
fn scopes_are_those_of_mkosi() {
    let names = |scope: Scope| -> Vec<&str> {
        all()
            .filter(|setting| setting.scope == scope && setting.section != Section::Overcoat)
            .map(|setting| setting.name)
            .collect()
    };
    assert_eq!(
        names(Scope::Inherit),
        [
            "Profiles",
            "CompressLevel",
            "ImageVersion",
            "ImageId",
            "SectorSize",
            "SignExpectedPcrKey",
            "SignExpectedPcrKeySource",
            "SignExpectedPcrCertificate",
            "SignExpectedPcrCertificateSource",
            "CacheOnly",
            "CacheKey",
            "BuildKey",
        ]
    );
    assert_eq!(
        names(Scope::InitrdInherit),
        ["Keymap", "Timezone", "Hostname", "RootPassword"]
    );
    assert_eq!(
        names(Scope::Initrd),
        ["InitrdProfiles", "InitrdPackages", "InitrdVolatilePackages"]
    );
    assert_eq!(names(Scope::Universal).len(), 31);
    assert_eq!(names(Scope::Multiversal).len(), 12);
    assert_eq!(names(Scope::Tools).len(), 9);
}

#[test]
fn settings_of_the_tools_tree_are_those_of_mkosi() {
    let names: Vec<&str> = all()
        .filter(|setting| setting.in_tools_tree)
        .map(|setting| setting.name)
        .collect();
    assert_eq!(
        names,
        [
            "Include",
            "Profiles",
            "Snapshot",
            "LocalMirror",
            "RepositoryKeyFetch",
            "Repositories",
            "Output",
            "OutputDirectory",
            "Packages",
            "PackageDirectories",
            "SyncScripts",
            "PrepareScripts",
            "SandboxTrees",
            "Environment",
            "EnvironmentFiles",
        ]
    );
}

#[test]
fn conditions_and_specifiers_are_those_of_mkosi() {
    let matched: Vec<&str> = all()
        .filter(|setting| setting.matcher.is_some())
        .map(|setting| setting.name)
        .collect();
    assert_eq!(
        matched,
        [
            "Profiles",
            "Distribution",
            "Release",
            "Architecture",
            "Repositories",
            "Format",
            "ImageVersion",
            "ImageId",
            "Bootable",
            "Bootloader",
            "ToolsTreeDistribution",
            "ToolsTreeRelease",
            "BuildSources",
            "Environment",
        ]
    );
    let letters: String = all().filter_map(|setting| setting.specifier).collect();
    assert_eq!(letters, "dratoOvi");
}

#[test]
fn old_names_add_to_their_setting() {
    let aliases: Vec<(&str, &str)> = all()
        .filter(|setting| setting.is_alias())
        .map(|setting| (setting.name, setting.destination))
        .collect();
    assert_eq!(
        aliases,
        [
            ("KernelModulesInclude", "KernelModules"),
            ("KernelModulesInitrdInclude", "KernelInitrdModules"),
            ("FirmwareInclude", "FirmwareFiles"),
        ]
    );
    for (_, destination) in aliases {
        assert!(named(destination).is_some(), "{destination}");
    }
}

#[test]
fn nearest_setting_is_found() {
    for (typed, meant) in [
        ("Pakages", Some("Packages")),
        ("Formatt", Some("Format")),
        ("Zzzzzzzz", None),
    ] {
        assert_eq!(
            nearest_setting(typed).map(|setting| setting.name),
            meant,
            "{typed}"
        );
    }
}
