//! `overcoat sign`: signs an image that was built with `Verity=defer`, in place.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command, value_parser};
use rustix::fs::{Mode, OFlags};
use serde_json::json;

use super::args::{ArgumentError, usage_error};
use super::exit;
use super::failure::Failure;
use super::output::{self, Style};
use super::render::inert;
use crate::ddi::{self, SignError, Signed};
use crate::digest::hexadecimal;
use crate::signing::{self, CERTIFICATE_FILE, KEY_FILE, Signer};

/// What was typed.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Invoked {
    Help,
    Sign {
        images: Vec<PathBuf>,
        key: PathBuf,
        certificate: PathBuf,
        signed: Signed,
        json: bool,
    },
}

/// An image that could not be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum Error {
    #[error("opening the image `{path}`")]
    Open {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("signing the image `{path}`")]
    Sign { path: PathBuf, source: SignError },
}

/// Runs the verb with the program's arguments, and returns its exit status.
pub(super) fn main(style: Style) -> ExitCode {
    let done = parse(std::env::args_os().skip(2))
        .map_err(|error| Failure::new(error, exit::BAD_RECIPE))
        .and_then(|invoked| run(&invoked, style));
    ExitCode::from(match done {
        Ok(()) => exit::SUCCESS,
        Err(failure) => failure.report(style),
    })
}

fn command() -> Command {
    let path = |name: &'static str, option: &'static str, default: &str, help: &'static str| {
        Arg::new(name)
            .long(option)
            .value_name("PATH")
            .value_parser(value_parser!(PathBuf))
            .default_value(default.to_owned())
            .help(help)
    };
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    Command::new("overcoat sign")
        .about(
            "Signs images that were built with `Verity=defer`, in place, after it has checked that their data are those \
             of their root hash",
        )
        .disable_help_flag(true)
        .arg(
            Arg::new("image")
                .value_name("IMAGE")
                .value_parser(value_parser!(PathBuf))
                .num_args(1..)
                .required_unless_present("help"),
        )
        .arg(path("key", "verity-key", KEY_FILE, "Key that signs"))
        .arg(path(
            "certificate",
            "verity-certificate",
            CERTIFICATE_FILE,
            "Certificate of the key",
        ))
        .arg(flag("force", "Sign again what is signed").short('f'))
        .arg(flag("json", "Print JSON instead of text"))
        .arg(flag("help", "Show this help").short('h'))
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invoked, ArgumentError> {
    let arguments = std::iter::once("overcoat sign".into()).chain(arguments);
    let matches = command()
        .try_get_matches_from(arguments)
        .map_err(|error| usage_error(&error))?;
    if matches.get_flag("help") {
        return Ok(Invoked::Help);
    }
    let path = |name: &str| {
        matches
            .get_one::<PathBuf>(name)
            .cloned()
            .unwrap_or_default()
    };
    Ok(Invoked::Sign {
        images: matches
            .get_many("image")
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
        key: path("key"),
        certificate: path("certificate"),
        signed: match matches.get_flag("force") {
            true => Signed::Replace,
            false => Signed::Refuse,
        },
        json: matches.get_flag("json"),
    })
}

fn run(invoked: &Invoked, style: Style) -> Result<(), Failure> {
    let Invoked::Sign {
        images,
        key,
        certificate,
        signed,
        json,
    } = invoked
    else {
        output::data(format_args!("{}", command().render_help()));
        return Ok(());
    };
    let signer = Signer::from_files(key, certificate)
        .map_err(|error: signing::Error| Failure::new(error, exit::BAD_RECIPE))?;
    for path in images {
        let root_hash = sign(path, &signer, *signed)
            .map_err(|error| Failure::new(error, exit::BUILD_FAILED))?;
        let path = path.to_string_lossy();
        if *json {
            let event = json!({
                "event": "image-signed",
                "path": path,
                "root_hash": root_hash,
                "certificate_fingerprint": hexadecimal(&signer.certificate_fingerprint()),
            });
            output::json(format_args!("{event}\n"));
        } else {
            let path = inert(&path, style);
            output::people(format_args!("signed {path}: root hash {root_hash}\n"));
        }
    }
    Ok(())
}

/// Returns the root hash of the image.
fn sign(path: &Path, signer: &Signer, signed: Signed) -> Result<String, Error> {
    // NONBLOCK: a FIFO in the place of an image must not stall.
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file: File = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| Error::Open {
            path: path.to_owned(),
            source: errno.into(),
        })?
        .into();
    let root_hash = ddi::sign(&file, signer, signed).map_err(|source| Error::Sign {
        path: path.to_owned(),
        source,
    })?;
    Ok(root_hash.to_string())
}
