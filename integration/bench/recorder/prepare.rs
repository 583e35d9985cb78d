//! What the workloads need, made once: packages and the sources of a program from the host's mirror, and trees.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fs_err as fs;
use overcoat_sandbox::{Overlay, Spec};

use crate::measured::Failure;
use crate::work;
use crate::{Ids, Mode};

/// A directory that is kept.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
}

/// Packages with all that they depend on, beyond a minimal system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackageSet {
    pub(crate) name: &'static str,
    pub(crate) packages: &'static [&'static str],
}

/// A minimal system.
pub(crate) const BASE: PackageSet = PackageSet {
    name: "base",
    packages: &[],
};

/// The program that is compiled, below the mirror's address.
const SOURCES: &str = "pool/main/h/hello/hello_2.10.orig.tar.gz";
const SOURCES_SHA256: &str = "31e066137a962676e89f69d1b65382de95a7ef7d914b8cb956f41ea72e0f516b";

impl Store {
    pub(crate) fn open(directory: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(directory)?;
        let directory = fs::canonicalize(directory)?;
        fs::create_dir_all(directory.join("trees"))?;
        Ok(Self { directory })
    }

    /// Returns a new, empty directory in place of what had the name.
    pub(crate) fn fresh(&self, name: &str) -> Result<PathBuf, Failure> {
        let directory = self.directory.join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir(&directory)?;
        Ok(directory)
    }

    /// Returns the directory with the packages of a set and of the minimal system, and the names of the set's own.
    pub(crate) fn packages(&self, set: PackageSet) -> Result<(PathBuf, Vec<String>), Failure> {
        let all = self.download(set)?;
        let mut names = package_names(&all)?;
        if !set.packages.is_empty() {
            let base = package_names(&self.download(BASE)?)?;
            names.retain(|name| !base.contains(name));
        }
        Ok((all, names))
    }

    /// Has the program itself download what it would install.
    fn download(&self, set: PackageSet) -> Result<PathBuf, Failure> {
        let kept = self.directory.join(format!("packages-{}", set.name));
        let archives = kept.join("archives");
        if kept.exists() {
            return Ok(archives);
        }
        let new = self.fresh("packages-new")?;
        let [home, recipe, output] = ["home", "recipe", "output"].map(|name| self.fresh(name));
        let status = Command::new(env!("CARGO_BIN_EXE_overcoat"))
            .env_clear()
            .env("HOME", home?)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .arg("-C")
            .arg(recipe?)
            .args(["--format", "directory", "--output-directory"])
            .arg(output?)
            .arg("--package-cache-directory")
            .arg(&new)
            .args(set.packages.iter().flat_map(|name| ["--package", name]))
            .stdin(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(format!("downloading the packages of `{}` failed", set.name).into());
        }
        fs::rename(&new, &kept)?;
        Ok(archives)
    }

    /// Returns the archive of the program's sources.
    pub(crate) fn sources(&self) -> Result<PathBuf, Failure> {
        let kept = self.directory.join("sources.tar.gz");
        if kept.exists() {
            return Ok(kept);
        }
        let targets = Command::new("/usr/bin/apt-get")
            .args(["indextargets", "--format", "$(REPO_URI)"])
            .output()?;
        for mirror in String::from_utf8(targets.stdout)?.lines() {
            let status = Command::new("/usr/lib/apt/apt-helper")
                .args(["download-file", &format!("{mirror}{SOURCES}")])
                .arg(&kept)
                .arg(format!("SHA256:{SOURCES_SHA256}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            if status.success() {
                return Ok(kept);
            }
        }
        Err(format!("no mirror of the host has `{SOURCES}`").into())
    }

    /// Returns the layers of a system with a set of packages, the topmost first.
    pub(crate) fn tree(&self, mode: Mode, set: PackageSet) -> Result<Vec<PathBuf>, Failure> {
        let ids = match mode.ids {
            Ids::Real => "real",
            Ids::Recorded => "recorded",
        };
        let mut lowers = if set.packages.is_empty() {
            Vec::new()
        } else {
            self.tree(mode, BASE)?
        };
        let kept = self.directory.join(format!("trees/{ids}-{}", set.name));
        if !kept.exists() {
            let new = self.fresh("tree-new")?;
            let (archives, names) = self.packages(set)?;
            if lowers.is_empty() {
                work::run(&mode.apply(work::unpack(&new, &archives, &names)))?;
            }
            let spec = self.install(mode, &lowers, &new, set)?;
            work::run(&spec)?;
            fs::rename(&new, &kept)?;
        }
        lowers.insert(0, kept);
        Ok(lowers)
    }

    /// Returns the sandbox that installs a set of packages over layers.
    pub(crate) fn install(
        &self,
        mode: Mode,
        lowers: &[PathBuf],
        upper: &Path,
        set: PackageSet,
    ) -> Result<Spec, Failure> {
        let (archives, names) = self.packages(set)?;
        let mut lowers = lowers.to_vec();
        lowers.insert(0, self.guard()?);
        let overlay = Overlay {
            lowers,
            upper: Some(upper.to_owned()),
            work: Some(self.fresh("work")?),
        };
        Ok(mode.apply(work::install(&overlay, &archives, &names)))
    }

    /// Returns a layer that keeps services from being started.
    fn guard(&self) -> Result<PathBuf, Failure> {
        let guard = self.directory.join("guard");
        let file = guard.join("usr/sbin/policy-rc.d");
        if !file.exists() {
            fs::create_dir_all(guard.join("usr/sbin"))?;
            fs::write(&file, "#!/bin/sh\nexit 101\n")?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&file, mode)?;
        }
        Ok(guard)
    }
}

fn package_names(directory: &Path) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".deb") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
