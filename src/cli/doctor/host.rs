//! What `doctor` looks at on the host.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::statvfs::statvfs;

use super::Places;
use crate::packages::apt::{PROGRAM_DIRECTORIES, PROGRAMS};

const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const UBUNTU_KEYRING: &str = "/usr/share/keyrings/ubuntu-archive-keyring.gpg";

/// The facts about the host, before any judgement.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub release: HostRelease,
    pub tools: Vec<Tool>,
    /// The known archive keyrings that exist.
    pub keyrings: Vec<PathBuf>,
    pub free_space: Vec<FreeSpace>,
}

/// The host's os-release.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct HostRelease {
    pub id: String,
    pub version_id: String,
    pub id_like: Vec<String>,
}

/// A program that builds start.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub name: &'static str,
    pub package: &'static str,
    /// Its path and the first line of its `--version`.
    pub found: Option<(PathBuf, String)>,
}

/// The free space of the file system that a directory is on.
#[derive(Clone, Debug)]
pub(crate) struct FreeSpace {
    pub purpose: &'static str,
    pub setting: &'static str,
    pub path: PathBuf,
    pub available_bytes: u64,
}

impl Host {
    /// Looks at this host.
    pub(crate) fn gather(places: &Places) -> Self {
        let keyrings = [DEBIAN_KEYRING, UBUNTU_KEYRING].map(PathBuf::from);
        let free_space = [
            ("the cache", "CacheDirectory", &places.cache_directory),
            ("outputs", "OutputDirectory", &places.output_directory),
        ];
        Self {
            release: read_release(),
            tools: PROGRAMS
                .map(|(name, package)| find_tool(name, package))
                .into(),
            keyrings: keyrings.into_iter().filter(|path| path.exists()).collect(),
            free_space: free_space
                .into_iter()
                .filter_map(|(purpose, setting, path)| free_space_at(purpose, setting, path))
                .collect(),
        }
    }
}

impl HostRelease {
    /// Parses an os-release file (os-release(5)); what it lacks stays empty.
    pub(super) fn parse(text: &str) -> Self {
        let value = |key: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(name, _)| *name == key)
                .map(|(_, value)| value.trim_matches(['"', '\'']).to_owned())
                .unwrap_or_default()
        };
        Self {
            id: value("ID"),
            version_id: value("VERSION_ID"),
            id_like: value("ID_LIKE")
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
        }
    }

    /// Returns the command that installs a Debian package's like on this distribution.
    pub(super) fn install_command(&self, package: &str) -> String {
        if package == "apt" && (self.is_like("debian") || self.is_like("ubuntu")) {
            // Without apt, apt cannot install it.
            "download the package `apt` and install it with `sudo dpkg --install`".to_owned()
        } else if self.is_like("debian") || self.is_like("ubuntu") {
            format!("`sudo apt-get install {package}`")
        } else if self.is_like("fedora") {
            format!("`sudo dnf install {package}`")
        } else if self.is_like("arch") {
            format!("`sudo pacman -S {package}`")
        } else if self.is_like("suse") {
            format!("`sudo zypper install {package}`")
        } else {
            format!("install the package `{package}`")
        }
    }

    /// Returns the keyring that the distribution's own archive needs and its package, for the known distributions.
    pub(super) fn keyring(&self) -> Option<(&'static Path, &'static str)> {
        match self.id.as_str() {
            "debian" => Some((Path::new(DEBIAN_KEYRING), "debian-archive-keyring")),
            "ubuntu" => Some((Path::new(UBUNTU_KEYRING), "ubuntu-keyring")),
            _ => None,
        }
    }

    fn is_like(&self, id: &str) -> bool {
        self.id == id || self.id_like.iter().any(|like| like == id)
    }
}

fn read_release() -> HostRelease {
    ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| fs_err::read_to_string(path).ok())
        .map(|text| HostRelease::parse(&text))
        .unwrap_or_default()
}

fn find_tool(name: &'static str, package: &'static str) -> Tool {
    let found = PROGRAM_DIRECTORIES
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.is_file())
        .map(|path| {
            let version = version_of(&path);
            (path, version)
        });
    Tool {
        name,
        package,
        found,
    }
}

fn version_of(path: &Path) -> String {
    let output = Command::new(path)
        .arg("--version")
        .env_clear()
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .lines()
            .next()
            .unwrap_or("unknown version")
            .to_owned(),
        _ => "unknown version".to_owned(),
    }
}

/// Asks for the file system of the directory, or of its nearest parent that exists.
fn free_space_at(
    purpose: &'static str,
    setting: &'static str,
    directory: &Path,
) -> Option<FreeSpace> {
    let existing = directory.ancestors().find(|path| path.is_dir())?;
    let status = statvfs(existing).ok()?;
    Some(FreeSpace {
        purpose,
        setting,
        path: existing.to_owned(),
        available_bytes: status
            .blocks_available()
            .saturating_mul(status.fragment_size()),
    })
}
