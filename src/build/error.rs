//! Why a build failed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use overcoat_sandbox::ProgramStatus;

use crate::Hint;

/// What the C library and apt call a full disk.
const NO_SPACE: &str = "No space left on device";

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
    #[error("the sandbox of the step `{step}` ended before its time")]
    SandboxEnded {
        step: String,
        source: overcoat_sandbox::Error,
    },
    #[error("the step `{step}` failed: `{command}` {}{}", describe(*status), indented(stderr_tail))]
    ProgramFailed {
        step: String,
        command: String,
        status: ProgramStatus,
        stderr_tail: String,
        /// The addresses that it was not let reach.
        refused: Vec<SocketAddr>,
    },
    #[error("the step `{step}` {reached}: `{command}` {}{}", describe(*status), indented(stderr_tail))]
    LimitReached {
        step: String,
        reached: super::ReachedLimit,
        command: String,
        status: ProgramStatus,
        stderr_tail: String,
    },
    #[error("there is not enough space in `{path}`")]
    SpaceLacking { path: PathBuf, source: Box<Error> },
    #[error("{origin}: `{setting}={uri}` leads to {addresses}, which a recipe may not reach")]
    MirrorOutOfReach {
        setting: &'static str,
        uri: String,
        origin: String,
        addresses: String,
    },
    #[error("the mirror leads to {addresses}, which is neither public nor what you named")]
    AddressOutOfReach { addresses: String },
    #[error("reading the output of the step `{step}`")]
    ReadOutput {
        step: String,
        source: std::io::Error,
    },
    #[error("the step `{step}` printed more than {limit_bytes} bytes")]
    TooMuchOutput { step: String, limit_bytes: usize },
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
    #[error("the repository `{repository}` does not exist: it has no `Release` file")]
    RepositoryMissing { repository: String },
    #[error("the repository `{repository}` is not signed by a trusted key{}", explained(.reason))]
    RepositoryUntrusted {
        repository: String,
        /// What the check of its signature found, if it has one.
        reason: Option<String>,
    },
    #[error(
        "repository metadata is not in the cache, and `CacheOnly=always` forbids to download it"
    )]
    MetadataNotCached,
    #[error(
        "the package `{file_name}` is not in the cache, and `CacheOnly=always` forbids to download it"
    )]
    PackageNotCached { file_name: String },
    #[error("the package `{file_name}` does not have the digest that the signed metadata gives")]
    PackageCorrupt { file_name: String },
    #[error("the package `{file_name}` was not downloaded")]
    PackageMissing { file_name: String },
    #[error("{origin}: the sandbox tree `{path}` is not a directory")]
    SandboxTreeNotDirectory { path: PathBuf, origin: String },
    #[error("`{path}` of a sandbox tree cannot be used")]
    SandboxTreeFile {
        path: String,
        source: crate::packages::apt::Problem,
    },
    #[error("a list of a sandbox tree names the keys `{path}`, which are not in it")]
    SandboxKeyringMissing { path: PathBuf },
    #[error(
        "{origin}: the repository `{uri}` of a sandbox tree leads to {addresses}, which a recipe may not reach"
    )]
    RepositoryOutOfReach {
        uri: String,
        origin: String,
        addresses: String,
    },
    #[error("`{path}` is not a package")]
    LocalPackage {
        path: PathBuf,
        source: crate::packages::deb::Error,
    },
    #[error("the package `{path}` is not a regular file")]
    LocalPackageNotFile { path: PathBuf },
    #[error("the package `{path}` has changed since the build has started")]
    LocalPackageChanged { path: PathBuf },
    #[error("reading the package `{path}`")]
    ReadPackage {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{origin}: the base tree `{path}` does not exist")]
    BaseTreeMissing { path: PathBuf, origin: String },
    #[error("{origin}: the base tree cannot be read")]
    BaseTree {
        origin: String,
        source: Box<crate::source::Error>,
    },
    #[error("the base tree `{path}` changed while it was read")]
    BaseTreeChanged { path: PathBuf },
    #[error("unpacking the base tree `{path}`")]
    UnpackBaseTree {
        path: PathBuf,
        source: crate::format::directory::Error,
    },
    #[error("{origin}: the base tree `{path}` has no package database (`/var/lib/dpkg/status`)")]
    BaseTreeWithoutPackages { path: PathBuf, origin: String },
    #[error("{origin}: `Verity=` asks for a signature, but there is no {what}")]
    KeyMissing { what: &'static str, origin: String },
    #[error("{origin}: the key of the signature cannot be used")]
    KeyUnusable {
        origin: String,
        source: crate::signing::Error,
    },
    #[error("nothing was started that signs the checksums of `{image}`")]
    SignerMissing { image: String },
    #[error("signing the checksums of `{image}`")]
    SignChecksums {
        image: String,
        source: crate::signing::OpenPgpError,
    },
    #[error("{origin}: the tree cannot be read")]
    SourceTree {
        origin: String,
        source: Box<crate::source::Error>,
    },
    #[error("{origin}: `{path}` is a file, and `/{target}` in the image a directory")]
    FileOverDirectory {
        path: PathBuf,
        target: crate::tree::TreePath,
        origin: String,
    },
    #[error("{origin}: the script `{path}` cannot be read")]
    ReadScript {
        path: PathBuf,
        origin: String,
        source: std::io::Error,
    },
    #[error("{origin}: the script `{path}` is not executable")]
    ScriptNotExecutable { path: PathBuf, origin: String },
    #[error("the script `{path}` is for `{interpreter}`, which this host does not have")]
    InterpreterMissing { path: PathBuf, interpreter: String },
    #[error("looking whether `{setting}=` has changed")]
    Look {
        setting: String,
        source: std::io::Error,
    },
    #[error("reading the sources that scripts see")]
    ReadSources { source: std::io::Error },
    #[error("{origin}: the tree `{path}` holds {what}")]
    TreeHoldsPrivate {
        path: PathBuf,
        what: &'static str,
        origin: String,
    },
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
    #[error("`{program}` is not installed on this machine")]
    ToolMissing {
        program: &'static str,
        package: &'static str,
    },
    #[error(
        "packages of the architecture `{wanted}` cannot be installed on a machine that is `{host}`"
    )]
    ForeignArchitecture { wanted: String, host: &'static str },
    #[error("the keyring `{path}` is not on this machine")]
    KeyringMissing { path: PathBuf },
    #[error(transparent)]
    Place(#[from] crate::store::PlaceError),
    #[error("preparing `{path}`")]
    Prepare {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("choosing repositories")]
    Distribution(#[from] crate::distribution::Error),
    #[error("reading what apt would install")]
    AptOutput(#[from] crate::packages::apt::InvalidOutput),
    #[error("keeping the owners that the sandbox recorded")]
    RecordedPath {
        source: crate::tree::InvalidTreePath,
    },
    #[error("using the store")]
    Store(#[from] crate::store::Error),
    #[error("keeping the owners of a range of ids")]
    RealIds(#[from] super::RealIdsError),
    #[error("capturing the tree")]
    Capture(#[from] crate::capture::Error),
    #[error("labelling the image for SELinux")]
    Labels(#[from] crate::selinux::Error),
    #[error(
        "image `{image}` is to be labelled for SELinux, and neither it nor its base has a policy"
    )]
    NoSelinuxPolicy { image: String },
    #[error("reading the tree")]
    Content(#[from] crate::tree::ContentError),
    #[error("reading the kernel module `{path}` of the image")]
    KernelModule {
        path: PathBuf,
        source: super::ModuleError,
    },
    #[error("laying down what was changed of the tree, for a program to see")]
    LayDown {
        source: crate::format::directory::Error,
    },
    #[error("finding where a directory of the tree is")]
    FollowLinks {
        source: crate::tree::UnresolvablePath,
    },
    #[error("changing the tree")]
    Tree(#[from] crate::tree::InsertError),
    #[error("preparing the extension")]
    Extension(#[from] crate::extension::Error),
    #[error("`{image}` is no portable service")]
    NoPortableService {
        image: String,
        source: crate::extension::Error,
    },
    #[error("writing `{name}`")]
    Write {
        name: String,
        source: super::output::WriteError,
    },
    #[error("publishing the outputs")]
    Publish(#[from] crate::publish::Error),
}

impl Error {
    /// Names the directory of the host that a program wrote to when it failed for want of space; all other errors stay
    /// as they are. The program's words are untrusted, but nothing is decided by them.
    pub(super) fn with_place(self, store: &Path) -> Self {
        const WORDS: [&str; 2] = [NO_SPACE, "enough free space"];
        let said = match &self {
            Self::ProgramFailed { stderr_tail, .. } => stderr_tail,
            Self::MirrorUnreachable { message, .. } => message,
            _ => return self,
        };
        match WORDS.iter().any(|words| said.contains(words)) {
            true => Self::SpaceLacking {
                path: store.to_owned(),
                source: Box::new(self),
            },
            false => self,
        }
    }

    /// Tells whether the host lacks something that the build needs.
    pub fn is_missing_feature(&self) -> bool {
        match self {
            Self::Image { source, .. } => source.is_missing_feature(),
            Self::ToolMissing { .. }
            | Self::KeyringMissing { .. }
            | Self::ForeignArchitecture { .. } => true,
            Self::Sandbox { source, .. } => source.is_missing_feature(),
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
            Self::SourceTree { source, .. } | Self::BaseTree { source, .. } => {
                source.is_bad_recipe()
            }
            Self::UnknownPackage { .. }
            | Self::MirrorOutOfReach { .. }
            | Self::BaseTreeMissing { .. }
            | Self::BaseTreeWithoutPackages { .. }
            | Self::SandboxTreeNotDirectory { .. }
            | Self::SandboxTreeFile { .. }
            | Self::SandboxKeyringMissing { .. }
            | Self::RepositoryOutOfReach { .. }
            | Self::LocalPackage { .. }
            | Self::LocalPackageNotFile { .. }
            | Self::FileOverDirectory { .. }
            | Self::KeyMissing { .. }
            | Self::InvalidPattern { .. }
            | Self::TreeHoldsPrivate { .. }
            | Self::ExtraTreeTarget { .. }
            | Self::CertificateName { .. }
            | Self::Architecture { .. }
            | Self::KeyUnusable { .. }
            | Self::NoPortableService { .. }
            | Self::Publish(crate::publish::Error::Occupied { .. })
            | Self::Distribution(_) => true,
            _ => false,
        }
    }
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::LimitReached { reached, .. } => reached.hint(),
            Self::NoSelinuxPolicy { .. } => {
                "install one, such as `selinux-policy-default` or `selinux-policy-targeted`, or name a file of contexts \
                 with `FileContexts=` in `[Overcoat]`"
                    .to_owned()
            }
            Self::ProgramFailed { stderr_tail, .. } => return limit_named_in(stderr_tail),
            Self::UnknownPackage { .. } => {
                "check the name, or add the component that has it with `Repositories=`".to_owned()
            }
            Self::MirrorUnreachable { message, .. } if !message.contains(NO_SPACE) => {
                "check the network, or name another mirror with `Mirror=`; packages already in the cache can be used \
                 with `--cache-only=always`"
                    .to_owned()
            }
            Self::MirrorOutOfReach { setting, .. } => {
                let option = match *setting {
                    "LocalMirror" => "--local-mirror",
                    _ => "--mirror",
                };
                format!(
                    "if you trust it, name the mirror at the command line with `{option}=`; `--allow=network` lets the steps \
                     that download reach all that you reach"
                )
            }
            Self::AddressOutOfReach { .. } | Self::RepositoryOutOfReach { .. } => {
                "`--allow=network` lets the steps that download reach all that you reach".to_owned()
            }
            Self::RepositoryMissing { .. } => {
                "check `Release=`, and name a mirror that has it with `Mirror=`".to_owned()
            }
            Self::RepositoryUntrusted { .. } => {
                "name a mirror of the distribution itself with `Mirror=`; `RepositoryKeyCheck=no` trusts it unchecked"
                    .to_owned()
            }
            Self::MetadataNotCached | Self::PackageNotCached { .. } => {
                "build once without `--cache-only=always`".to_owned()
            }
            Self::PackageCorrupt { .. } => {
                "it was removed from the cache; when the next build finds the same, use another mirror (`Mirror=`)"
                    .to_owned()
            }
            Self::BaseTreeMissing { .. } => {
                "correct the path, or name the image that makes it in `Dependencies=`".to_owned()
            }
            Self::BaseTree { source, .. } | Self::SourceTree { source, .. } => return source.hint(),
            Self::BaseTreeWithoutPackages { .. } => {
                "set `CleanPackageMetadata=no` in the image that makes the base tree".to_owned()
            }
            Self::LocalPackageNotFile { .. } => {
                "put the file itself into the directory: links are not followed there".to_owned()
            }
            Self::SandboxTreeNotDirectory { .. } => "unpack it, and name the directory".to_owned(),
            Self::SandboxKeyringMissing { .. } => {
                "put them into the tree, at the path that the list names".to_owned()
            }
            Self::LocalPackageChanged { .. } => "build again".to_owned(),
            Self::KeyMissing { .. } => {
                "make one with `overcoat genkey`, or name one with `VerityKey=` and `VerityCertificate=`".to_owned()
            }
            Self::ToolMissing { package, .. } => {
                format!("install the package `{package}`; `overcoat doctor` tells how")
            }
            Self::KeyringMissing { path } => {
                let package = if path.to_string_lossy().contains("ubuntu") { "ubuntu-keyring" } else { "debian-archive-keyring" };
                format!("install the package `{package}`; `overcoat doctor` tells how")
            }
            Self::ForeignArchitecture { .. } => {
                "build on a machine of that architecture, or choose another one with `Architecture=`".to_owned()
            }
            Self::TreeHoldsPrivate { .. } => {
                "name a directory below it that holds only what the image is to have".to_owned()
            }
            Self::FileOverDirectory { .. } => {
                "name the file in the image as well, such as `SOURCE:/etc/name`".to_owned()
            }
            Self::SpaceLacking { .. } => {
                "free some space, or name another directory with `CacheDirectory=`".to_owned()
            }
            Self::NoPortableService { .. } => {
                "build it on a system with its `os-release`: from packages, or from a base in `BaseTrees=`".to_owned()
            }
            Self::Place(error) => return error.hint(),
            _ => return None,
        };
        Some(hint)
    }
}

fn describe(status: ProgramStatus) -> String {
    match status {
        ProgramStatus::Exited(code) => format!("exited with status {code}"),
        ProgramStatus::Signaled(signal) => format!("was killed by signal {signal}"),
        ProgramStatus::TimedOut | ProgramStatus::LimitExceeded(_) | ProgramStatus::Killed => {
            "was stopped".into()
        }
    }
}

/// Returns what may help when a program complains about one of its limits, which only it can know to be the reason.
fn limit_named_in(stderr_tail: &str) -> Option<String> {
    // strerror(3) of EFBIG, EMFILE and EAGAIN, and what shells say of SIGXFSZ.
    let complaints = [
        ("File size limit exceeded", "file-size"),
        ("File too large", "file-size"),
        ("Too many open files", "open-files"),
        ("Resource temporarily unavailable", "processes"),
    ];
    let (complaint, name) = complaints
        .iter()
        .find(|(complaint, _)| stderr_tail.contains(complaint))?;
    Some(format!(
        "\"{complaint}\" can be the step's own limit; if you trust the recipe and its packages, raise it with \
         `--limit={name}=`"
    ))
}

fn explained(reason: &Option<String>) -> String {
    reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(": {reason}"))
}

/// Returns the end of a program's error output below the message, one indented line each.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("\n    {line}")).collect()
}
