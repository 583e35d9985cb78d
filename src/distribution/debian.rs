//! Debian and its derivatives: the packages of a minimal system and how it comes to be.

use crate::recipe::{Architecture, Distribution};

/// How an empty directory becomes a minimal system that dpkg can work on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bootstrap {
    /// What to install, in apt's words.
    pub packages: Vec<String>,
    /// Top-level directories that are links into `/usr` before anything is unpacked.
    pub merged_directories: Vec<&'static str>,
}

/// Returns how a system of `distribution` for `architecture` starts.
///
/// The essential packages are unpacked once without running anything, then installed properly on top of themselves,
/// since their maintainer scripts need a shell and dpkg needs its own database.
pub fn bootstrap(distribution: Distribution, architecture: Architecture) -> Bootstrap {
    let mut packages: Vec<String> = vec!["?essential".into(), "base-files".into()];
    // Without it, init-system-helpers pulls in usrmerge and all of perl to convert what is merged already.
    packages.push("usr-is-merged".into());
    if distribution == Distribution::Ubuntu {
        // Ubuntu's archive keyring is not essential but every system needs it to update itself.
        packages.push("ubuntu-keyring".into());
    }
    let libraries: &[&str] = match architecture {
        Architecture::X86_64 => &["lib32", "lib64", "libx32"],
        Architecture::X86 => &["lib64", "libx32"],
        Architecture::Loongarch64 => &["lib32", "lib64"],
        Architecture::Ppc64Le => &["lib64"],
        Architecture::S390x => &["lib32"],
        _ => &[],
    };
    let merged_directories = ["bin", "sbin", "lib"]
        .iter()
        .chain(libraries)
        .copied()
        .collect();
    Bootstrap {
        packages,
        merged_directories,
    }
}

#[cfg(test)]
mod tests {
    use super::bootstrap;
    use crate::recipe::{Architecture, Distribution};

    #[test]
    fn each_architecture_merges_its_own_library_directories() {
        let merged =
            |architecture| bootstrap(Distribution::Debian, architecture).merged_directories;
        assert_eq!(
            merged(Architecture::X86_64),
            ["bin", "sbin", "lib", "lib32", "lib64", "libx32"]
        );
        assert_eq!(merged(Architecture::Arm64), ["bin", "sbin", "lib"]);
    }
}
