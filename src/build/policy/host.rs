//! What of the host every sandbox of ours has: its programs, and for steps that download what resolving names takes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use overcoat_sandbox::Spec;

/// What was found on the host.
#[derive(Clone, Debug)]
pub struct Host {
    /// Top-level directories of programs and libraries, which are links into `/usr` on merged systems.
    pub(super) top_level: Vec<(PathBuf, TopLevel)>,
    /// Directories of `/usr` that are hidden.
    pub(super) hidden: Vec<PathBuf>,
    /// Files of `/etc` that programs need to start.
    pub(super) files: Vec<PathBuf>,
    /// What reaching mirrors needs, with the path inside.
    pub(super) network_files: Vec<(PathBuf, PathBuf)>,
    /// The caller's environment, of which a row may name a variable.
    pub(super) variables: Vec<(OsString, OsString)>,
}

/// What a top-level directory is.
#[derive(Clone, Debug)]
pub(super) enum TopLevel {
    Link(PathBuf),
    Directory,
}

const TOP_LEVEL: [&str; 7] = ["bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32"];
/// What an administrator keeps there is not a distribution's, and a build by root could read all of it.
const HIDDEN: [&str; 2] = ["/usr/local", "/usr/src"];
const FILES: [&str; 2] = ["/etc/alternatives", "/etc/ld.so.cache"];
const NETWORK_FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/ssl/certs"];

impl Host {
    /// Looks at this host.
    pub fn here() -> Self {
        let top_level = TOP_LEVEL.map(|name| Path::new("/").join(name));
        let top_level = top_level.into_iter().filter_map(|path| {
            let found = match fs_err::read_link(&path) {
                Ok(target) => TopLevel::Link(target),
                Err(_) if path.is_dir() => TopLevel::Directory,
                Err(_) => return None,
            };
            Some((path, found))
        });
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        let mut hidden = paths(&HIDDEN);
        hidden.retain(|path| path.is_dir());
        let mut files = paths(&FILES);
        files.retain(|path| path.exists());
        Self {
            top_level: top_level.collect(),
            hidden,
            files,
            // resolv.conf is often a link into /run, which is not there: the file behind it is bound.
            network_files: paths(&NETWORK_FILES)
                .into_iter()
                .filter_map(|path| Some((fs_err::canonicalize(&path).ok()?, path)))
                .collect(),
            variables: std::env::vars_os().collect(),
        }
    }

    /// Returns a variable of the caller's environment, if it is text.
    pub(in crate::build) fn variable(&self, name: &str) -> Option<String> {
        let (_, value) = self.variables.iter().find(|(found, _)| found == name)?;
        value.clone().into_string().ok()
    }

    /// Adds the host's `/usr` and what its programs need to start.
    pub fn programs(&self, spec: Spec) -> Spec {
        let mut spec = spec.bind_read_only("/usr", "/usr");
        for hidden in &self.hidden {
            spec = spec.tmpfs(hidden, 0o755);
        }
        for (path, found) in &self.top_level {
            spec = match found {
                TopLevel::Link(target) => spec.symlink(target, path),
                TopLevel::Directory => spec.bind_read_only(path, path),
            };
        }
        self.files
            .iter()
            .fold(spec, |spec, path| spec.bind_read_only(path, path))
    }

    /// Adds what resolving names and checking certificates needs.
    pub fn network_files(&self, spec: Spec) -> Spec {
        self.network_files
            .iter()
            .fold(spec, |spec, (found, path)| spec.bind_read_only(found, path))
    }
}
