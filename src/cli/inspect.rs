//! `overcoat inspect`: what an image is, and what is in it.

mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};

use self::report::Report;
use super::exit;
use super::failure::Failure;
use super::images::{self, ImageError, Row};
use super::output::{self, Style};
use super::render::{inert, inert_lines, warning};
use super::table::{Align, table};
use crate::signing::read_certificate;

const ABOUT: &str = "Shows what an image is and what is in it: partitions, file system, the oldest kernel that reads it, \
                     root hash, signature, extension-release, and the entries";
const AFTER: &str = "\
Nothing is checked that need not be read for it, see `overcoat verify`. With a path, only the entries at and below it are \
listed. Times are in UTC; a `+` after the mode says that there are extended attributes, which `--json` has in full.";

/// Runs the verb with the program's arguments, and returns its exit status.
pub(super) fn main(style: Style) -> ExitCode {
    images::main(command(), style, run)
}

fn command() -> Command {
    images::command("overcoat inspect", ABOUT)
        .after_help(AFTER)
        .arg(images::image_argument(
            "image",
            "IMAGE",
            "Image or file system",
        ))
        .arg(images::paths_argument("Which entries to list"))
        .arg(images::flag("tree", "List all entries"))
        .arg(
            Arg::new("certificate")
                .long("certificate")
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .help("Certificate, in PEM form, to compare the signature with"),
        )
}

fn run(matches: &ArgMatches, style: Style) -> Result<u8, Failure> {
    let path = images::path(matches, "image");
    let paths = images::tree_paths(&images::typed_paths(matches))?;
    let certificate = matches
        .get_one::<PathBuf>("certificate")
        .map(|path| read_certificate(path))
        .transpose()
        .map_err(ImageError::Certificate)?;
    let image = images::open(&path)?;
    let file_system = images::file_system(&path, &image)?;
    let tree = images::tree(&path, &file_system)?;
    let report = Report::new(&path, &image, &file_system, &tree, certificate.as_ref());
    let listed = images::select(tree, &paths)?;
    if matches.get_flag("json") {
        print_json(&report, &listed);
        return Ok(exit::SUCCESS);
    }
    for text in report.warnings() {
        output::people(format_args!("{}", warning("", text, style)));
    }
    if paths.is_empty() {
        output::data(format_args!("{}", inert_lines(&report.text(), style)));
    }
    if matches.get_flag("tree") || !paths.is_empty() {
        if paths.is_empty() {
            output::data(format_args!("\n"));
        }
        print_rows(&listed, &paths, style);
    }
    Ok(exit::SUCCESS)
}

/// Prints the entries at and below `paths`, all if there are none.
fn print_rows(tree: &crate::tree::FileTree, paths: &[crate::tree::TreePath], style: Style) {
    use Align::{Left, Right};
    let is_asked = |path: &crate::tree::TreePath| {
        paths.is_empty() || paths.iter().any(|asked| path.starts_with(asked))
    };
    let mut rows = Vec::new();
    let mut shown = tree.iter().map(|(path, _)| is_asked(path));
    Row::each_of(tree, |row| {
        if shown.next().unwrap_or(false) {
            rows.push(row.columns().map(|cell| inert(&cell, style).into_owned()));
        }
    });
    let text = table([Left, Right, Right, Right, Right, Left, Left], &rows);
    output::data(format_args!("{text}"));
}

/// Prints the report and the entries, each on a line of its own, so that they need not be held in memory as JSON.
fn print_json(report: &Report, tree: &crate::tree::FileTree) {
    let report = serde_json::to_string_pretty(report).unwrap_or_default();
    let report = report.trim_end().trim_end_matches('}').trim_end();
    output::json_part(format_args!("{report},\n  \"entries\": ["));
    let mut separator = "\n";
    Row::each_of(tree, |row| {
        let row = serde_json::to_string(&row).unwrap_or_default();
        output::json_part(format_args!("{separator}    {row}"));
        separator = ",\n";
    });
    output::json_part(format_args!("\n  ]\n}}\n"));
}
