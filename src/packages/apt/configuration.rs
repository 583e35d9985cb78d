//! The configuration and arguments that apt gets.

use super::{ARCHIVES, LISTS, ROOT};

/// What apt's configuration depends on.
#[derive(Clone, Debug)]
pub struct Configuration<'a> {
    /// The architecture in Debian's words, such as `amd64`.
    pub architecture: &'a str,
    pub with_recommends: bool,
    pub with_docs: bool,
    /// Whether a repository without a valid signature is refused.
    pub check_signatures: bool,
    /// Whether metadata is refused that is older than it says it should be.
    pub check_validity: bool,
}

/// Documentation that is left out without `WithDocs=`, in dpkg's patterns.
const DOCUMENTATION: [&str; 5] = ["doc", "man", "groff", "gtk-doc", "info"];

/// Returns the text of apt's configuration file.
pub fn configuration(settings: &Configuration<'_>) -> String {
    let architecture = settings.architecture;
    let recommends = settings.with_recommends;
    let mut text = format!(
        "\
Dir::Etc \"/etc/apt\";
Dir::Etc::sourcelist \"/dev/null\";
Dir::State \"{ROOT}/var/lib/apt\";
Dir::State::lists \"{LISTS}\";
Dir::State::status \"{ROOT}/var/lib/dpkg/status\";
Dir::Cache \"/var/cache/apt\";
Dir::Cache::archives \"{ARCHIVES}\";
Dir::Log \"/var/log/apt\";
Dir::Bin::dpkg \"/usr/bin/dpkg\";
APT::Architecture \"{architecture}\";
APT::Architectures {{ \"{architecture}\"; }};
APT::Install-Recommends \"{recommends}\";
APT::Install-Suggests \"false\";
APT::Immediate-Configure \"false\";
APT::Get::Assume-Yes \"true\";
APT::Get::AutomaticRemove \"true\";
APT::Get::Allow-Change-Held-Packages \"true\";
APT::Sandbox::User \"root\";
Acquire::Languages \"none\";
Acquire::ForceHash \"SHA256\";
Acquire::Retries \"3\";
Acquire::AllowReleaseInfoChange \"true\";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled \"false\";
Debug::NoLocking \"true\";
DPkg::Use-Pty \"false\";
DPkg::Install::Recursive::Minimum \"1000\";
DPkg::Options:: \"--root={ROOT}\";
DPkg::Options:: \"--log=/var/log/dpkg.log\";
DPkg::Options:: \"--force-unsafe-io\";
DPkg::Options:: \"--force-confold\";
DPkg::Options:: \"--no-debsig\";
pkgCacheGen::ForceEssential \",\";
"
    );
    if !settings.with_docs {
        for directory in DOCUMENTATION {
            text += &format!("DPkg::Options:: \"--path-exclude=/usr/share/{directory}/*\";\n");
        }
        // Licences demand that their text goes with the program.
        text += "DPkg::Options:: \"--path-include=/usr/share/doc/*/copyright\";\n";
    }
    if !settings.check_signatures {
        text += "Acquire::AllowInsecureRepositories \"true\";\n\
                 Acquire::AllowDowngradeToInsecureRepositories \"true\";\n\
                 APT::Get::AllowUnauthenticated \"true\";\n";
    }
    if !settings.check_validity {
        text += "Acquire::Check-Valid-Until \"false\";\n";
    }
    text
}

/// Returns the program and arguments that run apt-get with `arguments`.
///
/// apt reports progress on descriptor 3, a copy of standard output: with descriptor 1 itself, apt would close the
/// standard output of the maintainer scripts (seen with apt 2.6). Log directories are made in the sandbox's own `/var`.
pub fn command(arguments: &[&str]) -> Vec<String> {
    const SHELL: &str = "mkdir -p /var/log/apt /var/cache/apt /var/lib && exec apt-get -q -oAPT::Status-Fd=3 \"$@\" 3>&1";
    let shell = ["/bin/sh", "-c", SHELL, "apt-get"];
    shell
        .iter()
        .chain(arguments)
        .map(ToString::to_string)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Configuration, command, configuration};

    const DEFAULT: Configuration<'static> = Configuration {
        architecture: "amd64",
        with_recommends: false,
        with_docs: true,
        check_signatures: true,
        check_validity: true,
    };

    #[test]
    fn signatures_are_checked_unless_the_recipe_says_otherwise() {
        assert!(!configuration(&DEFAULT).contains("Insecure"));
        let unchecked = configuration(&Configuration {
            check_signatures: false,
            ..DEFAULT
        });
        assert!(unchecked.contains("Acquire::AllowInsecureRepositories \"true\";"));
    }

    #[test]
    fn without_docs_everything_but_copyright_is_left_out() {
        let text = configuration(&Configuration {
            with_docs: false,
            ..DEFAULT
        });
        assert!(text.contains("--path-exclude=/usr/share/man/*"));
        assert!(text.contains("--path-include=/usr/share/doc/*/copyright"));
        assert!(!configuration(&DEFAULT).contains("path-exclude"));
    }

    #[test]
    fn arguments_reach_apt_unchanged_by_the_shell() {
        let command = command(&["install", "a b", "$(x)"]);
        assert_eq!(command[0], "/bin/sh");
        assert_eq!(command[3..], ["apt-get", "install", "a b", "$(x)"]);
    }
}
