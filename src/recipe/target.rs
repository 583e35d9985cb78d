//! What an image is built for: distribution, release and architecture, and what the host is.

use std::fmt;

/// A distribution mkosi knows. Which of them can be built is said where a recipe is resolved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Distribution {
    Fedora,
    Debian,
    Kali,
    Ubuntu,
    Postmarketos,
    Arch,
    Opensuse,
    Mageia,
    Centos,
    Rhel,
    RhelUbi,
    Openmandriva,
    Rocky,
    Alma,
    Azure,
    Custom,
}

impl Distribution {
    const ALL: [Self; 16] = [
        Self::Fedora,
        Self::Debian,
        Self::Kali,
        Self::Ubuntu,
        Self::Postmarketos,
        Self::Arch,
        Self::Opensuse,
        Self::Mageia,
        Self::Centos,
        Self::Rhel,
        Self::RhelUbi,
        Self::Openmandriva,
        Self::Rocky,
        Self::Alma,
        Self::Azure,
        Self::Custom,
    ];

    /// Returns the name in `Distribution=`, which is the `ID=` of `os-release` in most cases.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fedora => "fedora",
            Self::Debian => "debian",
            Self::Kali => "kali",
            Self::Ubuntu => "ubuntu",
            Self::Postmarketos => "postmarketos",
            Self::Arch => "arch",
            Self::Opensuse => "opensuse",
            Self::Mageia => "mageia",
            Self::Centos => "centos",
            Self::Rhel => "rhel",
            Self::RhelUbi => "rhel-ubi",
            Self::Openmandriva => "openmandriva",
            Self::Rocky => "rocky",
            Self::Alma => "alma",
            Self::Azure => "azure",
            Self::Custom => "custom",
        }
    }

    /// Returns the distribution with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|distribution| distribution.name() == name)
    }

    /// Returns whether its packages can be installed.
    pub(super) fn is_buildable(self) -> bool {
        matches!(self, Self::Debian | Self::Ubuntu)
    }

    /// Returns the release mkosi takes when none is set and the host has another distribution; empty when it has none.
    pub(super) fn default_release(self) -> &'static str {
        match self {
            Self::Fedora => "rawhide",
            Self::Debian => "testing",
            Self::Kali => "kali-rolling",
            Self::Ubuntu => "devel",
            Self::Postmarketos => "edge",
            Self::Arch => "rolling",
            Self::Opensuse => "tumbleweed",
            Self::Mageia => "cauldron",
            Self::Centos | Self::Rhel | Self::RhelUbi | Self::Rocky | Self::Alma => "10",
            Self::Openmandriva => "cooker",
            Self::Azure => "3.0",
            Self::Custom => "",
        }
    }

    /// Returns the distribution that tools for building on this one are taken from.
    pub(super) fn tools(self) -> Self {
        match self {
            Self::Ubuntu => Self::Debian,
            Self::Centos | Self::Rhel | Self::RhelUbi | Self::Rocky | Self::Alma => Self::Fedora,
            other => other,
        }
    }

    /// Returns whether Ubuntu has no package of its keys.
    pub(super) fn lacks_keys_on_ubuntu(self) -> bool {
        !matches!(
            self,
            Self::Debian | Self::Kali | Self::Ubuntu | Self::Custom
        )
    }

    /// Returns whether a package of it is a kernel.
    pub(super) fn is_kernel_package(self, package: &str) -> bool {
        match self {
            Self::Debian | Self::Kali => package.starts_with("linux-image-"),
            Self::Ubuntu => package.starts_with("linux-") && !package.starts_with("linux-tools-"),
            Self::Arch => matches!(
                package,
                "linux"
                    | "linux-lts"
                    | "linux-zen"
                    | "linux-hardened"
                    | "linux-rt"
                    | "linux-rt-lts"
            ),
            Self::Opensuse => matches!(package, "kernel-default" | "kernel-kvmsmall"),
            Self::Postmarketos => is_postmarketos_kernel(package),
            Self::Custom => false,
            _ => matches!(package, "kernel" | "kernel-core"),
        }
    }

    /// Returns the file system that `%F` stands for.
    pub(super) fn file_system(self) -> &'static str {
        match self {
            Self::Fedora | Self::Opensuse => "btrfs",
            Self::Centos | Self::Rhel | Self::RhelUbi | Self::Rocky | Self::Alma => "xfs",
            _ => "ext4",
        }
    }
}

/// Returns whether a package of postmarketOS is a kernel: they are named after machines.
fn is_postmarketos_kernel(package: &str) -> bool {
    let others = ["linux-timemachine", "linux-headers", "linux-apfs-rw-src"];
    package.starts_with("linux-")
        && !["-doc", "-dev", "-manual"]
            .iter()
            .any(|end| package.ends_with(end))
        && !["linux-tools-", "linux-firmware-"]
            .iter()
            .any(|start| package.starts_with(start))
        && !others.contains(&package)
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A processor architecture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Architecture {
    Alpha,
    Arc,
    Arm,
    Arm64,
    Ia64,
    Loongarch64,
    Mips64Le,
    MipsLe,
    Parisc,
    Ppc,
    Ppc64,
    Ppc64Le,
    Riscv32,
    Riscv64,
    S390,
    S390x,
    Tilegx,
    X86,
    X86_64,
}

/// One row an architecture: systemd's name, Debian's, what `uname -m` prints, and whether UEFI runs on it.
type ArchitectureRow = (
    Architecture,
    &'static str,
    Option<&'static str>,
    &'static [&'static str],
    bool,
);

const ARCHITECTURES: &[ArchitectureRow] = &[
    (
        Architecture::Alpha,
        "alpha",
        Some("alpha"),
        &["alpha"],
        false,
    ),
    (Architecture::Arc, "arc", Some("arc"), &["arc"], false),
    (
        Architecture::Arm,
        "arm",
        Some("armhf"),
        &["armv7l", "armv8l", "arm"],
        true,
    ),
    (
        Architecture::Arm64,
        "arm64",
        Some("arm64"),
        &["aarch64"],
        true,
    ),
    (Architecture::Ia64, "ia64", Some("ia64"), &["ia64"], true),
    (
        Architecture::Loongarch64,
        "loongarch64",
        Some("loong64"),
        &["loongarch64"],
        true,
    ),
    (
        Architecture::Mips64Le,
        "mips64-le",
        Some("mips64el"),
        &["mips64"],
        false,
    ),
    (
        Architecture::MipsLe,
        "mips-le",
        Some("mipsel"),
        &["mips"],
        false,
    ),
    (
        Architecture::Parisc,
        "parisc",
        Some("hppa"),
        &["parisc", "parisc64"],
        false,
    ),
    (Architecture::Ppc, "ppc", Some("powerpc"), &["ppc"], false),
    (
        Architecture::Ppc64,
        "ppc64",
        Some("ppc64"),
        &["ppc64"],
        false,
    ),
    (
        Architecture::Ppc64Le,
        "ppc64-le",
        Some("ppc64el"),
        &["ppc64le"],
        false,
    ),
    (Architecture::Riscv32, "riscv32", None, &["riscv32"], true),
    (
        Architecture::Riscv64,
        "riscv64",
        Some("riscv64"),
        &["riscv64"],
        true,
    ),
    (Architecture::S390, "s390", Some("s390"), &["s390"], false),
    (
        Architecture::S390x,
        "s390x",
        Some("s390x"),
        &["s390x"],
        false,
    ),
    (Architecture::Tilegx, "tilegx", None, &["tilegx"], false),
    (
        Architecture::X86,
        "x86",
        Some("i386"),
        &["i386", "i486", "i586", "i686"],
        true,
    ),
    (
        Architecture::X86_64,
        "x86-64",
        Some("amd64"),
        &["x86_64"],
        true,
    ),
];

impl Architecture {
    fn row(self) -> &'static ArchitectureRow {
        ARCHITECTURES
            .iter()
            .find(|row| row.0 == self)
            .expect("every architecture has a row, which a test checks")
    }

    /// Returns the name that systemd, extension-release files and `Architecture=` use.
    pub fn systemd_name(self) -> &'static str {
        self.row().1
    }

    /// Returns the name Debian and Ubuntu use, if they have it.
    pub fn debian_name(self) -> Option<&'static str> {
        self.row().2
    }

    /// Returns the name that OCI images use, which is Go's, and the variant; `None` when Go does not know it.
    pub fn oci_name(self) -> Option<(&'static str, Option<&'static str>)> {
        let name = match self {
            // Debian's and Fedora's are for ARMv7.
            Self::Arm => return Some(("arm", Some("v7"))),
            Self::Arm64 => "arm64",
            Self::Loongarch64 => "loong64",
            Self::Mips64Le => "mips64le",
            Self::MipsLe => "mipsle",
            Self::Ppc => "ppc",
            Self::Ppc64 => "ppc64",
            Self::Ppc64Le => "ppc64le",
            Self::Riscv32 => "riscv",
            Self::Riscv64 => "riscv64",
            Self::S390 => "s390",
            Self::S390x => "s390x",
            Self::X86 => "386",
            Self::X86_64 => "amd64",
            Self::Alpha | Self::Arc | Self::Ia64 | Self::Parisc | Self::Tilegx => return None,
        };
        Some((name, None))
    }

    /// Returns the architecture with this name of systemd's.
    pub fn named(name: &str) -> Option<Self> {
        ARCHITECTURES
            .iter()
            .find(|row| row.1 == name)
            .map(|row| row.0)
    }

    /// Returns the architecture of a machine, as `uname -m` prints it.
    pub fn of_machine(machine: &str) -> Option<Self> {
        ARCHITECTURES
            .iter()
            .find(|row| row.3.contains(&machine))
            .map(|row| row.0)
    }

    /// Returns the name that UEFI uses, if it is defined for it and file names have one.
    pub fn efi_name(self) -> Option<&'static str> {
        match self {
            Self::X86 => Some("ia32"),
            Self::X86_64 => Some("x64"),
            Self::Arm => Some("arm"),
            Self::Arm64 => Some("aa64"),
            Self::Riscv64 => Some("riscv64"),
            Self::Loongarch64 => Some("loongarch64"),
            _ => None,
        }
    }

    /// Returns whether UEFI is defined for it.
    pub(super) fn has_uefi(self) -> bool {
        self.row().4
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.systemd_name())
    }
}

/// What the host is, where a recipe does not say what it wants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostFacts {
    pub distribution: Option<Distribution>,
    pub release: Option<String>,
    pub architecture: Architecture,
    /// The version of systemd, such as `257`, if there is one.
    pub systemd_version: Option<String>,
}

impl HostFacts {
    /// Reads the text of `/etc/os-release` and what `uname -m` prints.
    ///
    /// An unknown machine counts as `x86-64`, for which a recipe can name another architecture.
    pub fn from_os_release(text: &str, machine: &str) -> Self {
        let field = |name: &str| {
            text.lines()
                .filter_map(|line| line.trim().split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.trim_matches(['"', '\'']).to_owned())
                .filter(|value| !value.is_empty())
        };
        let distribution = field("ID").and_then(|id| {
            let like = field("ID_LIKE").unwrap_or_default();
            std::iter::once(id.as_str())
                .chain(like.split_whitespace())
                .find_map(Distribution::named)
        });
        let release = match distribution {
            Some(Distribution::Debian | Distribution::Ubuntu | Distribution::Kali) => {
                field("VERSION_CODENAME").or_else(|| field("VERSION_ID"))
            }
            _ => field("VERSION_ID"),
        };
        Self {
            distribution,
            release,
            architecture: Architecture::of_machine(machine).unwrap_or(Architecture::X86_64),
            systemd_version: None,
        }
    }

    /// Adds the version of systemd, which the name of its library has: no program need be asked.
    pub fn with_systemd_library(mut self, name: &str) -> Self {
        let version = name.strip_prefix("libsystemd-shared-");
        let version = version.and_then(|rest| rest.strip_suffix(".so"));
        let number = version.and_then(|version| version.split(['.', '-']).next());
        if let Some(number) =
            number.filter(|number| number.starts_with(|c: char| c.is_ascii_digit()))
        {
            self.systemd_version = Some(number.to_owned());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_and_distribution_has_its_name() {
        for row in ARCHITECTURES {
            assert_eq!(Architecture::named(row.0.systemd_name()), Some(row.0));
        }
        for distribution in Distribution::ALL {
            assert_eq!(Distribution::named(distribution.name()), Some(distribution));
        }
    }

    #[test]
    fn host_is_read_from_os_release() {
        let facts = HostFacts::from_os_release(
            "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n",
            "aarch64",
        );
        assert_eq!(
            facts,
            HostFacts {
                distribution: Some(Distribution::Debian),
                release: Some("bookworm".to_owned()),
                architecture: Architecture::Arm64,
                systemd_version: None,
            }
        );
        let unknown = HostFacts::from_os_release("ID=plan9\n", "x86_64");
        assert_eq!(unknown.distribution, None);
        let derived = HostFacts::from_os_release("ID=mint\nID_LIKE=\"ubuntu debian\"\n", "x86_64");
        assert_eq!(derived.distribution, Some(Distribution::Ubuntu));
    }

    #[test]
    fn systemd_has_the_version_of_its_library() {
        for (name, version) in [
            ("libsystemd-shared-252.so", Some("252")),
            ("libsystemd-shared-257.9-2.fc42.so", Some("257")),
            ("libsystemd-shared-258~rc1.so", Some("258~rc1")),
            ("libsystemd-core-252.so", None),
            ("libsystemd-shared-.so", None),
        ] {
            let facts = HostFacts::from_os_release("", "x86_64").with_systemd_library(name);
            assert_eq!(facts.systemd_version.as_deref(), version, "{name}");
        }
    }
}
