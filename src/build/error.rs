//! Why a build failed.

use std::path::PathBuf;

use overcoat_sandbox::ProgramStatus;

use crate::Hint;

/// A build failed; which step and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("building the image `{image}`")]
    Image { image: String, source: Box<Error> },
    #[error("starting the step `{step}`")]
    Sandbox {
        step: String,
        source: overcoat_sandbox::Error,
    },
    #[error("the step `{step}` failed: `{command}` {}{}", describe(*status), indented(stderr_tail))]
    ProgramFailed {
        step: String,
        command: String,
        status: ProgramStatus,
        stderr_tail: String,
    },
    #[error("interrupted")]
    Interrupted,
    #[error("{origin}: no package matches `{package}` in {target}")]
    UnknownPackage {
        package: String,
        origin: String,
        target: String,
    },
    #[error("downloading from `{uri}`: {message}")]
    MirrorUnreachable { uri: String, message: String },
    #[error("the package `{file_name}` does not have the digest that the signed metadata gives")]
    PackageCorrupt { file_name: String },
    #[error("the package `{file_name}` was not downloaded")]
    PackageMissing { file_name: String },
    #[error("reading the package `{path}`")]
    ReadPackage {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{origin}: the base tree `{path}` does not exist")]
    BaseTreeMissing { path: PathBuf, origin: String },
    #[error("{origin}: the base tree `{path}` is not a directory")]
    BaseTreeNotDirectory { path: PathBuf, origin: String },
    #[error("{origin}: the base tree `{path}` has no package database (`/var/lib/dpkg/status`)")]
    BaseTreeWithoutPackages { path: PathBuf, origin: String },
    #[error("{origin}: `Verity=` asks for a signature, but there is no {what}")]
    KeyMissing { what: &'static str, origin: String },
    #[error("{origin}: the extra tree `{path}` is not a directory")]
    ExtraTreeNotDirectory { path: PathBuf, origin: String },
    #[error("{origin}: `{pattern}` is not a pattern")]
    InvalidPattern {
        pattern: String,
        origin: String,
        source: globset::Error,
    },
    #[error("placing an extra tree")]
    ExtraTreeTarget {
        source: crate::tree::InvalidTreePath,
    },
    #[error("`{path}` cannot give the certificate in the image its name")]
    CertificateName {
        path: PathBuf,
        source: crate::tree::InvalidTreePath,
    },
    #[error("images for {architecture} cannot have partitions")]
    Architecture {
        architecture: &'static str,
        source: crate::ddi::UnknownArchitecture,
    },
    #[error("`{path}` is not on this machine")]
    ToolMissing { path: PathBuf },
    #[error("the keyring `{path}` is not on this machine")]
    KeyringMissing { path: PathBuf },
    #[error("there is no directory for caches")]
    NoCacheDirectory,
    #[error("preparing `{path}`")]
    Prepare {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("choosing repositories")]
    Distribution(#[from] crate::distribution::Error),
    #[error("reading what apt would install")]
    AptOutput(#[from] crate::packages::apt::InvalidOutput),
    #[error("using the store")]
    Store(#[from] crate::store::Error),
    #[error("capturing the tree")]
    Capture(#[from] crate::capture::Error),
    #[error("reading the tree")]
    Content(#[from] crate::tree::ContentError),
    #[error("changing the tree")]
    Tree(#[from] crate::tree::InsertError),
    #[error("preparing the signature")]
    Signing(#[from] crate::signing::Error),
    #[error("preparing the extension")]
    Extension(#[from] crate::extension::Error),
    #[error("writing the image")]
    Write(#[from] super::output::WriteError),
    #[error("publishing the outputs")]
    Publish(#[from] crate::publish::Error),
}

impl Error {
    /// Tells whether the host lacks something that the build needs.
    pub fn is_missing_feature(&self) -> bool {
        match self {
            Self::Image { source, .. } => source.is_missing_feature(),
            Self::ToolMissing { .. } | Self::KeyringMissing { .. } => true,
            _ => false,
        }
    }

    /// Tells whether the sandbox could not be set up.
    pub fn is_sandbox_setup(&self) -> bool {
        match self {
            Self::Image { source, .. } => source.is_sandbox_setup(),
            Self::Sandbox { .. } => true,
            _ => false,
        }
    }

    /// Tells whether the build was stopped by the person.
    pub fn is_interrupted(&self) -> bool {
        match self {
            Self::Image { source, .. } => source.is_interrupted(),
            Self::Interrupted => true,
            _ => false,
        }
    }

    /// Tells whether the recipe asks for something that cannot be.
    pub fn is_bad_recipe(&self) -> bool {
        match self {
            Self::Image { source, .. } => source.is_bad_recipe(),
            Self::UnknownPackage { .. }
            | Self::BaseTreeMissing { .. }
            | Self::BaseTreeNotDirectory { .. }
            | Self::BaseTreeWithoutPackages { .. }
            | Self::KeyMissing { .. }
            | Self::InvalidPattern { .. }
            | Self::ExtraTreeNotDirectory { .. }
            | Self::ExtraTreeTarget { .. }
            | Self::CertificateName { .. }
            | Self::Architecture { .. }
            | Self::Signing(_)
            | Self::Distribution(_) => true,
            _ => false,
        }
    }
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::UnknownPackage { .. } => {
                "check the name, or add the component that has it with `Repositories=`".to_owned()
            }
            Self::MirrorUnreachable { .. } => {
                "check the network, or name another mirror with `Mirror=`; packages already in the cache can be used \
                 with `--cache-only=always`"
                    .to_owned()
            }
            Self::PackageCorrupt { .. } => "it was removed from the cache; build again to download it anew".to_owned(),
            Self::BaseTreeMissing { .. } => {
                "build it first: name the image that makes it in `Dependencies=`".to_owned()
            }
            Self::BaseTreeNotDirectory { .. } => "use the output of an image with `Format=directory`".to_owned(),
            Self::BaseTreeWithoutPackages { .. } => {
                "set `CleanPackageMetadata=no` in the image that makes the base tree".to_owned()
            }
            Self::KeyMissing { .. } => {
                "make one with `overcoat genkey`, or name one with `VerityKey=` and `VerityCertificate=`".to_owned()
            }
            Self::ToolMissing { path } => format!("install the package that has `{}`; see `overcoat doctor`", path.display()),
            Self::KeyringMissing { path } => {
                let package = if path.to_string_lossy().contains("ubuntu") { "ubuntu-keyring" } else { "debian-archive-keyring" };
                format!("install it with `apt-get install {package}`")
            }
            Self::NoCacheDirectory => "set `HOME` or `XDG_CACHE_HOME`, or name one with `CacheDirectory=`".to_owned(),
            _ => return None,
        };
        Some(hint)
    }
}

fn describe(status: ProgramStatus) -> String {
    match status {
        ProgramStatus::Exited(code) => format!("exited with status {code}"),
        ProgramStatus::Signaled(signal) => format!("was killed by signal {signal}"),
        ProgramStatus::TimedOut => "ran longer than it may".into(),
        ProgramStatus::Killed => "was stopped".into(),
    }
}

/// Returns the end of a program's error output below the message, one indented line each.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("\n    {line}")).collect()
}
