//! Who builds the images that are compared, in worlds of their own.

use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use nix::unistd::User;
use overcoat::packages::apt::{Stanza, parse_sources};
use tempfile::TempDir;

use super::tree::{self, Tree};
use crate::harness::{self, World};

/// The recipe's images: the tutorial's two, and packages whose scripts make users, switch to them, and give files,
/// set-id bits, capabilities and ACLs away.
pub(super) const IMAGES: [&str; 6] = ["base", "btrfs", "network", "mail", "database", "system"];

/// Who builds, and with which ids.
#[derive(Clone, Copy, Debug)]
pub(super) struct Builder {
    pub(super) name: &'static str,
    /// One of the users that `integration/check` makes, or who runs the test.
    user: Option<&'static str>,
    mapping: &'static str,
}

/// Whose builds root compares: the others with the first.
pub(super) const BY_ROOT: [Builder; 3] = [
    Builder {
        name: "root, range",
        user: None,
        mapping: "--userns=range",
    },
    Builder {
        name: "ordinary user, range",
        user: Some("overcoat-range"),
        mapping: "--userns=range",
    },
    Builder {
        name: "ordinary user, single id",
        user: Some("overcoat-test"),
        mapping: "--userns=single",
    },
];

/// What an ordinary user can compare alone.
pub(super) const BY_A_USER: [Builder; 2] = [
    Builder {
        name: "range",
        user: None,
        mapping: "--userns=range",
    },
    Builder {
        name: "single id",
        user: None,
        mapping: "--userns=single",
    },
];

/// Returns where the host takes Debian's packages, if its mirror has all releases: with their security updates.
pub(crate) fn mirror() -> Option<String> {
    let lists = fs_err::read_dir("/etc/apt/sources.list.d");
    let files = lists
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path());
    let stanzas: Vec<Stanza> = files
        .chain([PathBuf::from("/etc/apt/sources.list")])
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "sources" || end == "list")
        })
        .filter_map(|path| fs_err::read_to_string(path).ok())
        .flat_map(|text| parse_sources(&text))
        .collect();
    let below = |archive: &str| {
        let addresses = stanzas
            .iter()
            .map(|stanza| stanza.uri.trim_end_matches('/'));
        let bases = addresses.filter_map(|address| address.strip_suffix(archive));
        bases.map(str::to_owned).collect::<Vec<_>>()
    };
    let security = below("/debian-security");
    below("/debian")
        .into_iter()
        .find(|base| security.contains(base))
}

/// Gives a directory and all in it to a user.
fn give(path: &Path, user: &User) {
    if fs_err::symlink_metadata(path).unwrap().is_dir() {
        for entry in fs_err::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user);
        }
    }
    lchown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
}

/// Copies the downloaded packages, so that each is downloaded once. Other tests may be downloading meanwhile.
fn copy_packages(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy_packages(&path, &target);
            continue;
        }
        match fs_err::copy(path, target) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            copied => drop(copied.unwrap()),
        }
    }
}

impl Builder {
    /// # Errors
    /// When the user does not exist.
    pub(super) fn user(&self) -> Result<Option<User>, String> {
        let Some(name) = self.user else {
            return Ok(None);
        };
        let user = User::from_name(name).unwrap();
        user.map(Some)
            .ok_or_else(|| format!("there is no user `{name}`, which `integration/check` makes"))
    }

    /// Builds all images of a release in a world of its own, and reads them.
    pub(super) fn build(&self, release: &str) -> Vec<Tree> {
        let root = TempDir::new_in(harness::directory()).unwrap();
        fs_err::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let world = World::within(root);
        for file in ["mkosi.conf".to_owned()]
            .into_iter()
            .chain(IMAGES.map(|image| format!("mkosi.images/{image}/mkosi.conf")))
        {
            let recipe =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/recipes/ownership");
            world.write(&file, &fs_err::read_to_string(recipe.join(&file)).unwrap());
        }
        let shared = harness::directory().join("packages");
        fs_err::create_dir_all(&shared).unwrap();
        let user = self.user().unwrap();
        let packages = match &user {
            None => shared,
            Some(user) => {
                let own = world.path("packages");
                copy_packages(&shared, &own);
                give(world.path("").parent().unwrap(), user);
                own
            }
        };
        let mut arguments = vec![
            "-f".to_owned(),
            self.mapping.to_owned(),
            format!("--release={release}"),
            format!("--package-cache-directory={}", packages.display()),
        ];
        arguments.extend(mirror().map(|mirror| format!("--mirror={mirror}")));
        let mut command = world.command(&arguments);
        if let Some(user) = &user {
            // This drops the supplementary groups of root as well.
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        let built = world.finish(command);
        assert_eq!(built.status, Some(0), "{}: {}", self.name, built.stderr);
        let output = world.path("mkosi.output");
        IMAGES.map(|image| tree::read(&output.join(image))).into()
    }
}
