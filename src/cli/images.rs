//! What the verbs that are about images share: their arguments, opening, and how entries are shown.

mod entries;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

pub(super) use self::entries::{Row, kind_of, path_of, time_of};
use super::args::{ArgumentError, usage_error};
use super::exit;
use super::failure::Failure;
use super::output::{self, Style};
use crate::beneath::Directory;
use crate::ddi::read::{Image, OpenError};
use crate::format::file_system::{Description, FileSystem, FileSystemError};
use crate::format::read_at::ImageFile;
use crate::tree::{FileTree, InvalidTreePath, TreePath};
use crate::{capture, signing};

/// An image cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum ImageError {
    #[error("opening `{path}`")]
    Open {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("reading the image `{path}`")]
    Image { path: PathBuf, source: OpenError },
    #[error("reading the file system of `{path}`")]
    Tree {
        path: PathBuf,
        source: FileSystemError,
    },
    #[error("reading the directory `{path}`")]
    Directory {
        path: PathBuf,
        source: capture::Error,
    },
    #[error("the path `{path}` cannot be in an image")]
    Path {
        path: String,
        source: InvalidTreePath,
    },
    #[error("`/{path}` is not in the image")]
    NotThere { path: TreePath },
    #[error("the certificate cannot be used")]
    Certificate(#[from] signing::Error),
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        let exit = match error {
            ImageError::Open { .. } | ImageError::Path { .. } | ImageError::Certificate(_) => {
                exit::BAD_RECIPE
            }
            _ => exit::BUILD_FAILED,
        };
        Self::new(error, exit)
    }
}

/// Runs one of these verbs with the program's arguments, and returns its exit status.
pub(super) fn main(
    command: Command,
    style: Style,
    run: impl FnOnce(&ArgMatches, Style) -> Result<u8, Failure>,
) -> ExitCode {
    let done = matches(command)
        .map_err(|error| Failure::new(error, exit::BAD_RECIPE))
        .and_then(|matches| match matches {
            Some(matches) => run(&matches, style),
            None => Ok(exit::SUCCESS),
        });
    ExitCode::from(match done {
        Ok(status) => status,
        Err(failure) => failure.report(style),
    })
}

/// Opens the image in a file.
pub(super) fn open(path: &Path) -> Result<Image, ImageError> {
    let file = ImageFile::open(path).map_err(|source| ImageError::Open {
        path: path.into(),
        source,
    })?;
    Image::open(Arc::new(file)).map_err(|source| ImageError::Image {
        path: path.into(),
        source,
    })
}

/// The tree in an image, file system or directory.
pub(super) struct Opened {
    /// `None` for a directory, as its description.
    pub(super) image: Option<Image>,
    pub(super) description: Option<Description>,
    pub(super) tree: FileTree,
}

impl Opened {
    /// Reads what is at `path`.
    ///
    /// # Errors
    /// An [`ImageError`] when it is nothing that can be read.
    pub(super) fn read(path: &Path) -> Result<Self, ImageError> {
        if !path.is_dir() {
            let image = open(path)?;
            let file_system = file_system(path, &image)?;
            return Ok(Self {
                tree: tree(path, &file_system)?,
                description: Some(file_system.description()),
                image: Some(image),
            });
        }
        let directory = Directory::open(path).map_err(|error| ImageError::Open {
            path: path.into(),
            source: error.into_cause(),
        })?;
        let tree = capture::merge_directory(directory).map_err(|source| ImageError::Directory {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            image: None,
            description: None,
            tree,
        })
    }
}

/// Opens the file system of an image.
pub(super) fn file_system(path: &Path, image: &Image) -> Result<FileSystem, ImageError> {
    image.file_system().map_err(|source| ImageError::Image {
        path: path.into(),
        source,
    })
}

/// Reads the names in a file system.
pub(super) fn tree(path: &Path, file_system: &FileSystem) -> Result<FileTree, ImageError> {
    file_system.tree().map_err(|source| ImageError::Tree {
        path: path.into(),
        source,
    })
}

/// Returns the paths that were typed, as paths in an image.
pub(super) fn tree_paths(typed: &[String]) -> Result<Vec<TreePath>, ImageError> {
    let path = |typed: &String| {
        TreePath::new(typed).map_err(|source| ImageError::Path {
            path: typed.clone(),
            source,
        })
    };
    typed.iter().map(path).collect()
}

/// Keeps of a tree what lies at and below `paths`, and the directories on the way there.
///
/// # Errors
/// [`ImageError::NotThere`] for a path that the tree does not have.
pub(super) fn select(tree: FileTree, paths: &[TreePath]) -> Result<FileTree, ImageError> {
    if let Some(path) = paths.iter().find(|path| tree.get(path).is_none()) {
        return Err(ImageError::NotThere { path: path.clone() });
    }
    if paths.is_empty() {
        return Ok(tree);
    }
    Ok(tree.retain(|path, _| {
        paths
            .iter()
            .any(|asked| path.starts_with(asked) || asked.starts_with(path))
    }))
}

/// Returns how many threads there is work for.
pub(super) fn workers() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Returns a command line with what every one of these verbs has.
pub(super) fn command(name: &'static str, about: &'static str) -> Command {
    Command::new(name)
        .about(about)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(flag("json", "Print JSON instead of text"))
        .arg(flag("help", "Show this help").short('h'))
}

/// Returns an option without a value.
pub(super) fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}

/// Returns an argument that must be there unless help is asked for.
pub(super) fn image_argument(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .value_name(value)
        .value_parser(value_parser!(PathBuf))
        .required_unless_present("help")
        .help(help)
}

/// Returns the argument for paths in an image.
pub(super) fn paths_argument(help: &'static str) -> Arg {
    Arg::new("path").value_name("PATH").num_args(0..).help(help)
}

/// Reads the arguments after a verb; `None` when help was printed instead.
fn matches(command: Command) -> Result<Option<ArgMatches>, ArgumentError> {
    let name: OsString = command.get_name().to_owned().into();
    let arguments = std::iter::once(name).chain(std::env::args_os().skip(2));
    let mut asked = command.clone();
    let matches = command
        .try_get_matches_from(arguments)
        .map_err(|error| usage_error(&error))?;
    if matches.get_flag("help") {
        output::data(format_args!("{}", asked.render_help()));
        return Ok(None);
    }
    Ok(Some(matches))
}

/// Returns the value of an argument that was required.
pub(super) fn path(matches: &ArgMatches, name: &str) -> PathBuf {
    matches
        .get_one::<PathBuf>(name)
        .cloned()
        .unwrap_or_default()
}

/// Returns the paths in an image that were typed.
pub(super) fn typed_paths(matches: &ArgMatches) -> Vec<String> {
    matches
        .get_many::<String>("path")
        .into_iter()
        .flatten()
        .cloned()
        .collect()
}
