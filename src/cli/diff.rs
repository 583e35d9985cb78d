//! `overcoat diff`: what two images, or directories, differ in.

pub(super) mod difference;

use std::process::ExitCode;

use clap::{ArgMatches, Command};
use serde_json::json;

use self::difference::{Ignored, partitions, trees};
use super::exit;
use super::failure::Failure;
use super::images::{self, ImageError, Opened};
use super::output::{self, Style};
use super::render::inert;
use crate::tree::{ContentError, TreePath};

const ABOUT: &str = "Shows what two images or directories differ in, partition by partition and entry by entry: type, \
                     mode, owner, time, extended attributes, and where contents first differ";
const AFTER: &str = "\
A directory is read as one that `overcoat extract` or `Format=directory` made: owners are those that are recorded, and \
root where nothing is. `<` is what only the first has, `>` what only the second has, `!` what differs. The exit status is \
0 when they are the same, 1 when they differ, and 2 when one could not be read.";

/// The status of a comparison that could not be made.
const TROUBLE: u8 = exit::BAD_RECIPE;

/// A content could not be compared.
#[derive(Debug, thiserror::Error)]
#[error("reading the content of `/{path}`")]
pub(super) struct CompareError {
    path: TreePath,
    source: ContentError,
}

/// Runs the verb with the program's arguments, and returns its exit status.
pub(super) fn main(style: Style) -> ExitCode {
    images::main(command(), style, run)
}

fn command() -> Command {
    images::command("overcoat diff", ABOUT)
        .after_help(AFTER)
        .arg(images::image_argument(
            "first",
            "A",
            "Image, file system or directory",
        ))
        .arg(images::image_argument(
            "second",
            "B",
            "Image, file system or directory",
        ))
        .arg(images::flag("ignore-times", "Do not compare times"))
        .arg(images::flag("ignore-owners", "Do not compare owners"))
}

fn run(matches: &ArgMatches, style: Style) -> Result<u8, Failure> {
    let trouble = |error: ImageError| Failure::new(error, TROUBLE);
    let first = Opened::read(&images::path(matches, "first")).map_err(trouble)?;
    let second = Opened::read(&images::path(matches, "second")).map_err(trouble)?;
    let ignored = Ignored {
        times: matches.get_flag("ignore-times"),
        owners: matches.get_flag("ignore-owners"),
    };
    let of_image = match (&first.image, &second.image) {
        (Some(first), Some(second)) => partitions(first, second),
        // A directory has no partitions to compare with.
        _ => Vec::new(),
    };
    let entries =
        trees(&first.tree, &second.tree, ignored).map_err(|error| Failure::new(error, TROUBLE))?;
    let is_same = of_image.is_empty() && entries.is_empty();
    if matches.get_flag("json") {
        let report = json!({ "same": is_same, "image": of_image, "entries": entries });
        output::json(format_args!("{report:#}"));
    } else {
        for difference in &of_image {
            output::data(format_args!("{}\n", inert(&difference.text(), style)));
        }
        for entry in &entries {
            output::data(format_args!("{}\n", inert(&entry.text(), style)));
        }
    }
    Ok(match is_same {
        true => exit::SUCCESS,
        false => exit::BUILD_FAILED,
    })
}
