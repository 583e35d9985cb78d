//! `overcoat extract`: what is in an image becomes a directory, as an ordinary user.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use rustix::fs::FileType;
use serde_json::json;

use super::failure::Failure;
use super::images;
use super::output::{self, Style};
use super::render::{inert, warning};
use super::{exit, table};
use crate::Hint;
use crate::beneath::{self, Directory, Place};
use crate::format::directory;
use crate::tree::{EntryKind, FileTree};

/// As `overcoat verify`: what says that it is longer is not copied for hours.
const CONTENTS_LIMIT_BYTES: u64 = 1 << 40;
const ABOUT: &str = "Copies what is in an image into a new directory. Owners, devices and what else an ordinary user \
                     may not store are recorded in extended attributes, as `Format=directory` does it";
const AFTER: &str = "\
With `--plain`, nothing is recorded: owners, devices, set-id bits and extended attributes are left out, and how many are \
said. Nothing is there unless all of it is: a failure removes what it has written.";

/// An image could not be extracted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum Error {
    #[error("the directory `{path}` exists and is not empty")]
    NotEmpty { path: PathBuf },
    #[error("`{path}` exists and is no directory")]
    NoDirectory { path: PathBuf },
    #[error(
        "the image's files are {size_bytes} bytes long, and 1 TiB is the most that is extracted"
    )]
    TooLarge { size_bytes: u64 },
    #[error("reaching the directory in which `{path}` is made")]
    Reach {
        path: PathBuf,
        source: beneath::Error,
    },
    #[error("extracting into `{path}`")]
    Write {
        path: PathBuf,
        source: directory::Error,
    },
    #[error("extracting into `{path}`, which is left in part in `{partial}`")]
    WriteAndRemove {
        path: PathBuf,
        partial: PathBuf,
        source: directory::Error,
    },
    #[error("putting the directory `{path}` in its place")]
    Place {
        path: PathBuf,
        source: beneath::Error,
    },
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotEmpty { .. } => Some(
                "`--output` names another one; `--force` replaces one that was extracted or built"
                    .to_owned(),
            ),
            Self::Write {
                source: directory::Error::UnsupportedAttribute { .. },
                ..
            }
            | Self::Write {
                source: directory::Error::SetAttribute { .. },
                ..
            } => Some("`--plain` leaves out what a directory cannot hold".to_owned()),
            _ => None,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error {
            Error::NotEmpty { .. } | Error::NoDirectory { .. } | Error::Reach { .. } => {
                exit::BAD_RECIPE
            }
            _ => exit::BUILD_FAILED,
        };
        Self::new(error, exit)
    }
}

/// Runs the verb with the program's arguments, and returns its exit status.
pub(super) fn main(style: Style) -> ExitCode {
    images::main(command(), style, run)
}

fn command() -> Command {
    images::command("overcoat extract", ABOUT)
        .after_help(AFTER)
        .arg(images::image_argument(
            "image",
            "IMAGE",
            "Image or file system",
        ))
        .arg(images::paths_argument(
            "What to extract, with all below it; everything if nothing is said",
        ))
        .arg(
            Arg::new("output")
                .long("output")
                .short('o')
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Directory to make; the image's name without its ending if nothing is said"),
        )
        .arg(
            images::flag(
                "force",
                "Replace a directory that was extracted or built before",
            )
            .short('f'),
        )
        .arg(images::flag(
            "plain",
            "Record nothing that an ordinary user may not store",
        ))
}

fn run(matches: &ArgMatches, style: Style) -> Result<u8, Failure> {
    let path = images::path(matches, "image");
    let paths = images::tree_paths(&images::typed_paths(matches))?;
    let image = images::open(&path)?;
    let tree = images::tree(&path, &images::file_system(&path, &image)?)?;
    let mut tree = images::select(tree, &paths)?;
    let left_out = match matches.get_flag("plain") {
        true => make_plain(&mut tree),
        false => BTreeMap::new(),
    };
    let size_bytes = size_of(&tree)?;
    let destination = match matches.get_one::<PathBuf>("output") {
        Some(output) => output.clone(),
        None => default_destination(&path),
    };
    extract(&tree, &destination, matches.get_flag("force"))?;
    for (what, count) in &left_out {
        let text = format!("left out: {what} of {count} entries");
        output::people(format_args!("{}", warning("", &text, style)));
    }
    let shown = destination.to_string_lossy();
    if matches.get_flag("json") {
        let event = json!({
            "event": "image-extracted",
            "path": shown,
            "entries": tree.entry_count(),
            "size_bytes": size_bytes,
            "left_out": left_out,
        });
        output::json(format_args!("{event}"));
    } else {
        output::people(format_args!(
            "extracted {} entries into {}: {}\n",
            tree.entry_count(),
            inert(&shown, style),
            table::size(size_bytes)
        ));
    }
    Ok(exit::SUCCESS)
}

/// Returns what the files are long in all.
fn size_of(tree: &FileTree) -> Result<u64, Error> {
    let mut seen = std::collections::HashSet::new();
    let size_bytes = tree
        .iter()
        .filter(|(_, entry)| matches!(entry.kind, EntryKind::Regular(_)))
        .filter(|(_, entry)| entry.hard_link.is_none_or(|group| seen.insert(group)))
        .fold(0_u64, |size, (_, entry)| {
            size.saturating_add(entry.size_bytes())
        });
    match size_bytes > CONTENTS_LIMIT_BYTES {
        true => Err(Error::TooLarge { size_bytes }),
        false => Ok(size_bytes),
    }
}

/// Takes out of a tree what only root may store, and returns how many entries had what.
fn make_plain(tree: &mut FileTree) -> BTreeMap<&'static str, u64> {
    let mut left_out = BTreeMap::new();
    let mut note = |what, is_left_out: bool| {
        if is_left_out {
            *left_out.entry(what).or_insert(0) += 1;
        }
    };
    for (_, entry) in tree.iter_mut() {
        note("the owners", (entry.uid, entry.gid) != (0, 0));
        note("the extended attributes", !entry.xattrs.is_empty());
        // A sticky directory stays one; a set-id file would give away the user who extracts it.
        note("the set-id bits", entry.mode & 0o6000 != 0);
        (entry.uid, entry.gid) = (0, 0);
        entry.xattrs.clear();
        entry.mode &= 0o1777;
    }
    let is_device = |kind: &EntryKind| {
        matches!(
            kind,
            EntryKind::CharacterDevice(_) | EntryKind::BlockDevice(_)
        )
    };
    let devices = tree
        .iter()
        .filter(|(_, entry)| is_device(&entry.kind))
        .count();
    if devices > 0 {
        left_out.insert("the devices", devices as u64);
        *tree = tree.clone().retain(|_, entry| !is_device(&entry.kind));
    }
    left_out
}

/// Returns the name of an image without its ending, in the current directory.
fn default_destination(image: &Path) -> PathBuf {
    let name = image.file_name().unwrap_or_default();
    match image.file_stem() {
        Some(stem) if stem != name => PathBuf::from(stem),
        _ => PathBuf::from(append(name, ".extracted")),
    }
}

fn append(name: &OsStr, ending: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(ending);
    name
}

/// Writes the tree beside its destination, and puts it there when it is complete.
fn extract(tree: &FileTree, destination: &Path, is_forced: bool) -> Result<(), Error> {
    let reach = |source| Error::Reach {
        path: destination.into(),
        source,
    };
    let absolute = std::path::absolute(destination).unwrap_or_else(|_| destination.into());
    let (parent, name) = Place::split(&absolute).map_err(reach)?;
    let parent = Directory::open(parent).map_err(reach)?;
    let replaced = occupant(&parent, name, destination, is_forced)?;

    // The name of a directory has at most 255 bytes.
    let short = &name.as_bytes()[..name.len().min(200)];
    let partial = [
        b".",
        short,
        b".partial-",
        std::process::id().to_string().as_bytes(),
    ]
    .concat();
    let partial = OsStr::from_bytes(&partial);
    let place = Place::new(&parent, partial);
    if let Err(source) = directory::write_at(tree, &place) {
        let path = destination.into();
        return Err(match parent.remove(partial.as_bytes()) {
            Ok(()) => Error::Write { path, source },
            Err(_) => Error::WriteAndRemove {
                path,
                partial: place.host_path(),
                source,
            },
        });
    }
    let placed = match replaced {
        // An empty directory makes way by itself.
        Occupant::None | Occupant::Empty => {
            parent.rename(partial.as_bytes(), &parent, name.as_bytes())
        }
        Occupant::Output => parent
            .exchange(partial.as_bytes(), &parent, name.as_bytes())
            .and_then(|()| parent.remove(partial.as_bytes())),
    };
    placed.map_err(|source| {
        // What is complete and has no place is of no use either.
        let _ = parent.remove(partial.as_bytes());
        Error::Place {
            path: destination.into(),
            source,
        }
    })
}

/// What is where a directory is to be.
enum Occupant {
    None,
    Empty,
    /// A directory that an earlier extraction or build made.
    Output,
}

fn occupant(
    parent: &Directory,
    name: &OsStr,
    destination: &Path,
    is_forced: bool,
) -> Result<Occupant, Error> {
    let path = || destination.to_path_buf();
    let reach = |source| Error::Reach {
        path: destination.into(),
        source,
    };
    match parent.file_type(name.as_bytes()).map_err(reach)? {
        None => return Ok(Occupant::None),
        Some(FileType::Directory) => {}
        Some(_) => return Err(Error::NoDirectory { path: path() }),
    }
    let found = parent.subdirectory(name.as_bytes()).map_err(reach)?;
    if found.names().map_err(reach)?.is_empty() {
        return Ok(Occupant::Empty);
    }
    match is_forced && directory::is_output(&Place::new(parent, name)) {
        true => Ok(Occupant::Output),
        false => Err(Error::NotEmpty { path: path() }),
    }
}

#[cfg(test)]
mod tests;
