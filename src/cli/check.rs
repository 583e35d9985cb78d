//! `overcoat check`: whether an extension will merge on a host, and work there.

mod sarif;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, value_parser};
use serde::Serialize;

use super::exit;
use super::failure::Failure;
use super::images::{self, ImageError, Opened};
use super::output::{self, Style};
use super::render::inert_lines;
use crate::check::{self, Host, Protection, Report, Subject};
use crate::extension::{OsRelease, Severity, parse_os_release};
use crate::packages::dpkg::InstalledPackage;
use crate::tree::FileTree;

const ABOUT: &str = "Tells whether an extension will merge on a host, and whether it will work there: what it fits, its \
                     signature, libraries and interpreters, what it hides, owners and rights, units, links";
const AFTER: &str = "\
A host is a directory, an image, or a file of the form of os-release; without one, only what needs none is checked. A \
directory is read as one that `overcoat extract` or `Format=directory` made. If NAME.manifest is beside the image, the \
packages in it are listed by size. Codes of findings never change. The exit status is 0 when nothing was found that is as \
bad as `--fail-on` says, 1 when something was, and 2 when it could not be looked at.";

/// The status of a check that could not be made.
const TROUBLE: u8 = exit::BAD_RECIPE;
/// A file of the form of os-release has some hundred bytes, and a manifest some hundred thousand.
const RELEASE_LIMIT_BYTES: u64 = 1 << 20;
const MANIFEST_LIMIT_BYTES: u64 = 64 << 20;

/// A check could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum CheckError {
    #[error("reading `{path}`")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("checking `{path}`")]
    Check {
        path: PathBuf,
        source: Box<check::Error>,
    },
}

/// Runs the verb with the program's arguments, and returns its exit status.
pub(super) fn main(style: Style) -> ExitCode {
    images::main(command(), style, run)
}

fn command() -> Command {
    images::command("overcoat check", ABOUT)
        .after_help(AFTER)
        .arg(images::image_argument(
            "image",
            "IMAGE",
            "Image, file system or directory of an extension",
        ))
        .arg(
            Arg::new("against")
                .long("against")
                .value_name("HOST")
                .value_parser(value_parser!(PathBuf))
                .help("Directory, image or os-release of the host on which it is merged"),
        )
        .arg(
            Arg::new("architecture")
                .long("architecture")
                .value_name("NAME")
                .help("systemd's name of the host's architecture, where the host does not say it"),
        )
        .arg(
            Arg::new("fail-on")
                .long("fail-on")
                .value_name("SEVERITY")
                .value_parser(PossibleValuesParser::new([
                    "error", "warning", "note", "never",
                ]))
                .default_value("error")
                .help("From which severity on the exit status is 1"),
        )
        .arg(images::flag("sarif", "Print SARIF 2.1.0 for code scanning").conflicts_with("json"))
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Printed<'a> {
    image: String,
    against: Option<String>,
    #[serde(flatten)]
    report: &'a Report,
}

fn run(matches: &ArgMatches, style: Style) -> Result<u8, Failure> {
    let trouble = |error: ImageError| Failure::new(error, TROUBLE);
    let path = images::path(matches, "image");
    let against = matches.get_one::<PathBuf>("against");
    let opened = Opened::read(&path).map_err(trouble)?;
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| {
            let source = Box::new(source);
            Failure::new(CheckError::Check { path, source }, TROUBLE)
        }
    };
    // Of the host, either the tree or what it says of itself.
    let release = against.map(|path| read_release(path)).transpose();
    let release = release
        .map_err(|error| Failure::new(error, TROUBLE))?
        .flatten();
    let tree = match (against, &release) {
        (Some(path), None) => Some(with_root(Opened::read(path).map_err(trouble)?.tree)),
        _ => None,
    };
    let mut host = match (tree.as_ref(), release) {
        (Some(tree), _) => Host::of_tree(tree).map_err(failed(against.unwrap_or(&path)))?,
        (None, Some(release)) => Host::of_release(release),
        (None, None) => Host::default(),
    };
    if let Some(architecture) = matches.get_one::<String>("architecture") {
        host.architecture = Some(architecture.clone());
    }
    let protection = match (&opened.image, &opened.description) {
        (Some(image), Some(description)) => Some(Protection::of(image, description)),
        _ => None,
    };
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    let packages = packages(&path);
    let subject = Subject {
        name: &name,
        tree: &opened.tree,
        protection: protection.as_ref(),
        packages: &packages,
    };
    let report = check::check(&subject, &host).map_err(failed(&path))?;
    let shown = path.to_string_lossy();
    if matches.get_flag("sarif") {
        output::json(format_args!("{:#}", sarif::log(&shown, &report)));
    } else if matches.get_flag("json") {
        let printed = Printed {
            image: shown.into_owned(),
            against: against.map(|path| path.to_string_lossy().into_owned()),
            report: &report,
        };
        let text = serde_json::to_string_pretty(&printed).unwrap_or_default();
        output::json(format_args!("{text}"));
    } else {
        let text = text::text(&shown, &report);
        output::data(format_args!("{}", inert_lines(&text, style)));
    }
    let fails = match (report.worst(), fails_on(matches)) {
        (Some(worst), Some(limit)) => worst >= limit,
        _ => false,
    };
    Ok(match fails {
        true => exit::BUILD_FAILED,
        false => exit::SUCCESS,
    })
}

/// Gives what belongs to the owner of a tree's root to root: a directory that somebody else built belongs to them.
fn with_root(mut tree: FileTree) -> FileTree {
    let (uid, gid) = (tree.root().uid, tree.root().gid);
    for (_, entry) in tree.iter_mut() {
        if entry.uid == uid {
            entry.uid = 0;
        }
        if entry.gid == gid {
            entry.gid = 0;
        }
    }
    tree
}

/// Returns from which severity on the check fails; `None` when it never does.
fn fails_on(matches: &ArgMatches) -> Option<Severity> {
    match matches.get_one::<String>("fail-on").map(String::as_str) {
        Some("note") => Some(Severity::Note),
        Some("warning") => Some(Severity::Warning),
        Some("never") => None,
        _ => Some(Severity::Error),
    }
}

/// Reads a file of the form of os-release; `None` when it is an image or a directory.
fn read_release(path: &Path) -> Result<Option<OsRelease>, CheckError> {
    let failed = |source| CheckError::Read {
        path: path.into(),
        source,
    };
    let metadata = fs_err::metadata(path).map_err(failed)?;
    if !metadata.is_file() || metadata.len() > RELEASE_LIMIT_BYTES {
        return Ok(None);
    }
    let bytes = fs_err::read(path).map_err(failed)?;
    let release = std::str::from_utf8(&bytes).map(parse_os_release).ok();
    Ok(release.filter(|release| release.get("ID").is_some()))
}

/// Returns the packages in the manifest beside an image, where it says how large they are.
fn packages(image: &Path) -> Vec<InstalledPackage> {
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(".raw").unwrap_or(&name);
    let manifest = image.with_file_name(format!("{stem}.manifest"));
    let is_fit = fs_err::metadata(&manifest)
        .is_ok_and(|found| found.is_file() && found.len() <= MANIFEST_LIMIT_BYTES);
    let text = is_fit.then(|| fs_err::read(&manifest).ok()).flatten();
    let json = text.and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    let Some(json) = json else {
        return Vec::new();
    };
    let packages = json["packages"].as_array().into_iter().flatten();
    let package = |package: &serde_json::Value| {
        let text = |key| package[key].as_str().unwrap_or_default().to_owned();
        let name = text("name");
        let installed_kib = json["overcoat"]["installed_kib"][&name].as_u64()?;
        Some(InstalledPackage {
            version: text("version"),
            architecture: text("architecture"),
            source: name.clone(),
            name,
            installed_kib,
        })
    };
    packages.filter_map(package).collect()
}
