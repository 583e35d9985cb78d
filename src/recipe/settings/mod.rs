//! The settings, one table row each. The reader, the command line, its help and the summary are driven by these rows.
//!
//! The names, options and scopes are mkosi's (`mkosi.1`); what each row's [`Support`] says is ours, and so is a section.

mod build;
mod config;
mod content;
mod distribution;
mod output;
mod overcoat;
mod runtime;
mod validation;

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use super::nearest::nearest;
use super::values::Kind;

/// The section a setting stands in.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Section {
    Include,
    Config,
    Distribution,
    Output,
    Content,
    Validation,
    Build,
    Runtime,
    /// Ours; mkosi passes over it.
    Overcoat,
}

impl Section {
    /// The sections in the order of the manual, which is also the order of help and summary.
    pub const ALL: [Self; 9] = [
        Self::Include,
        Self::Config,
        Self::Distribution,
        Self::Output,
        Self::Content,
        Self::Validation,
        Self::Build,
        Self::Runtime,
        Self::Overcoat,
    ];

    /// Returns the name that stands between the brackets.
    pub fn name(self) -> &'static str {
        match self {
            Self::Include => "Include",
            Self::Config => "Config",
            Self::Distribution => "Distribution",
            Self::Output => "Output",
            Self::Content => "Content",
            Self::Validation => "Validation",
            Self::Build => "Build",
            Self::Runtime => "Runtime",
            Self::Overcoat => "Overcoat",
        }
    }

    /// Returns the section called `name`; `Host` is an old name of `Runtime`.
    pub fn named(name: &str) -> Option<Self> {
        if name == "Host" {
            return Some(Self::Runtime);
        }
        Self::ALL.into_iter().find(|section| section.name() == name)
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which images may set a setting, and which images its value is passed on to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Any image; never passed on.
    Local,
    /// The main image; forced on every subimage.
    Universal,
    /// The main image; forced on every image there is.
    Multiversal,
    /// Any image; the main image's value is where subimages start.
    Inherit,
    /// Any image; passed to the default initrd only.
    InitrdInherit,
    /// The main image; never passed on.
    Main,
    /// The main image; passed to the tools tree only.
    Tools,
    /// The main image; passed to the default initrd only.
    Initrd,
}

impl Scope {
    /// Returns whether a subimage may assign a setting of this scope.
    pub fn allows_subimage(self) -> bool {
        matches!(self, Self::Local | Self::Inherit | Self::InitrdInherit)
    }

    /// Returns whether subimages have the main image's value whatever they say.
    pub fn is_forced(self) -> bool {
        matches!(self, Self::Universal | Self::Multiversal)
    }
}

/// How a condition of a `[Match]` section compares with a setting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Matcher {
    /// The value is exactly the condition's.
    Equal,
    /// One of the values is; an empty condition matches no values at all.
    Member,
    /// A shell pattern.
    Glob,
    /// A comparison of versions, such as `>=1.2`.
    Version,
    /// `KEY`, or `KEY=VALUE`.
    Variable,
}

/// What becomes of a setting's value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Support {
    Supported,
    /// Accepted, because it cannot change an image; noted once with this reason.
    NoEffect(&'static str),
    /// It would change the image and is not built: any value but these is an error with this reason.
    Unsupported {
        reason: &'static str,
        neutral: &'static [&'static str],
    },
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub name: &'static str,
    pub section: Section,
    /// The long option, without its dashes.
    pub long: &'static str,
    pub short: Option<char>,
    /// The value the short option stands for; it takes its own value when this is `None`.
    pub short_value: Option<&'static str>,
    pub kind: Kind,
    pub scope: Scope,
    pub matcher: Option<Matcher>,
    pub specifier: Option<char>,
    /// The files and directories beside a `mkosi.conf` that set it.
    pub magic: &'static [Magic],
    /// The setting that the values are added to, which is another one for some old names.
    pub destination: &'static str,
    /// Whether `mkosi.tools.conf` may set it.
    pub in_tools_tree: bool,
    /// Whether an empty assignment leaves it without a value, whatever the default is.
    pub nullable: bool,
    /// The default, or what it is; empty when there is none.
    pub default: &'static str,
    /// Whether the default is described in words, and is no value itself.
    pub described: bool,
    /// One line, a fragment without a full stop.
    pub help: &'static str,
    pub support: Support,
    /// What is missing where the rest is supported, a fragment; empty when nothing is.
    pub missing: &'static str,
}

/// A file or directory whose presence sets a setting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Magic {
    /// The path is the value.
    Path(&'static str),
    /// The file's text is the value.
    Text(&'static str),
    /// The paths of the entries of this directory which end so are the values.
    Entries(&'static str, &'static str),
}

impl Magic {
    /// Returns the name in the directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Path(name) | Self::Text(name) | Self::Entries(name, _) => name,
        }
    }
}

impl Setting {
    const fn new(
        section: Section,
        name: &'static str,
        long: &'static str,
        kind: Kind,
        help: &'static str,
    ) -> Self {
        Self {
            name,
            section,
            long,
            short: None,
            short_value: None,
            kind,
            scope: Scope::Local,
            matcher: None,
            specifier: None,
            magic: &[],
            destination: name,
            in_tools_tree: false,
            nullable: false,
            default: "",
            described: false,
            help,
            support: Support::Supported,
            missing: "",
        }
    }

    const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    const fn short_for(mut self, short: char, value: &'static str) -> Self {
        self.short = Some(short);
        self.short_value = Some(value);
        self
    }

    const fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    const fn matched(mut self, matcher: Matcher) -> Self {
        self.matcher = Some(matcher);
        self
    }

    const fn specifier(mut self, letter: char) -> Self {
        self.specifier = Some(letter);
        self
    }

    const fn magic(mut self, magic: &'static [Magic]) -> Self {
        self.magic = magic;
        self
    }

    const fn destination(mut self, name: &'static str) -> Self {
        self.destination = name;
        self
    }

    const fn tools(mut self) -> Self {
        self.in_tools_tree = true;
        self
    }

    const fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    const fn described(mut self, words: &'static str) -> Self {
        self.default = words;
        self.described = true;
        self
    }

    const fn no_effect(mut self, reason: &'static str) -> Self {
        self.support = Support::NoEffect(reason);
        self
    }

    const fn partly(mut self, missing: &'static str) -> Self {
        self.missing = missing;
        self
    }

    const fn unsupported(mut self, reason: &'static str, neutral: &'static [&'static str]) -> Self {
        self.support = Support::Unsupported { reason, neutral };
        self
    }

    /// Returns whether assignments add to what is there.
    pub fn is_collection(&self) -> bool {
        self.kind.is_collection()
    }

    /// Returns whether its values are those of another setting, which it is an old name of.
    pub fn is_alias(&self) -> bool {
        self.destination != self.name
    }
}

/// Every setting, section by section.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    config::SETTINGS
        .iter()
        .chain(distribution::SETTINGS)
        .chain(output::SETTINGS)
        .chain(content::SETTINGS)
        .chain(validation::SETTINGS)
        .chain(build::SETTINGS)
        .chain(runtime::SETTINGS)
        .chain(overcoat::SETTINGS)
}

/// Returns the setting called `name`.
pub fn named(name: &str) -> Option<&'static Setting> {
    static ROWS: LazyLock<HashMap<&str, &Setting>> =
        LazyLock::new(|| all().map(|setting| (setting.name, setting)).collect());
    ROWS.get(name).copied()
}

/// Returns the setting called `name`, which is known to be in the table.
pub(super) fn known(name: &str) -> &'static Setting {
    named(name).expect("the name is a row of the table, which a test checks")
}

/// Returns the setting whose name is nearest to a mistyped one.
pub fn nearest_setting(name: &str) -> Option<&'static Setting> {
    nearest(name, all().map(|setting| setting.name)).and_then(named)
}

/// A former name of a setting, still accepted with a note.
pub(super) fn former_name(name: &str) -> Option<&'static Setting> {
    FORMER_NAMES
        .iter()
        .find(|(former, _)| *former == name)
        .map(|(_, present)| known(present))
}

/// Long options that mkosi renamed and still accepts.
pub(crate) const FORMER_OPTIONS: &[(&str, &str)] = &[
    ("output-dir", "output-directory"),
    ("repart-dir", "repart-directory"),
    ("cache-dir", "cache-directory"),
    ("package-cache-dir", "package-cache-directory"),
    ("workspace-dir", "workspace-directory"),
    ("build-dir", "build-directory"),
    ("sysupdate-dir", "sysupdate-directory"),
    ("package-manager-tree", "sandbox-tree"),
    ("tools-tree-package-manager-tree", "tools-tree-sandbox-tree"),
    ("qemu-smp", "cpus"),
    ("qemu-mem", "ram"),
    ("qemu-kvm", "kvm"),
    ("qemu-vsock", "vsock"),
    ("qemu-vsock-cid", "vsock-cid"),
    ("qemu-swtpm", "tpm"),
    ("qemu-removable", "removable"),
    ("qemu-firmware", "firmware"),
    ("qemu-firmware-variables", "firmware-variables"),
    ("qemu-kernel", "linux"),
    ("qemu-drive", "drive"),
];

/// Names that mkosi renamed and still accepts.
pub(super) const FORMER_NAMES: &[(&str, &str)] = &[
    ("Profile", "Profiles"),
    ("PrepareScript", "PrepareScripts"),
    ("BuildScript", "BuildScripts"),
    ("PostInstallationScript", "PostInstallationScripts"),
    ("FinalizeScript", "FinalizeScripts"),
    ("Devicetree", "Devicetrees"),
    ("PackageManagerTrees", "SandboxTrees"),
    ("ToolsTreePackageManagerTrees", "ToolsTreeSandboxTrees"),
    ("QemuSmp", "CPUs"),
    ("QemuMem", "RAM"),
    ("QemuKvm", "KVM"),
    ("QemuVsock", "VSock"),
    ("QemuVsockConnectionId", "VSockCID"),
    ("QemuSwtpm", "TPM"),
    ("QemuRemovable", "Removable"),
    ("QemuFirmware", "Firmware"),
    ("QemuFirmwareVariables", "FirmwareVariables"),
    ("QemuKernel", "Linux"),
    ("QemuDrives", "Drives"),
];

#[cfg(test)]
mod tests;
