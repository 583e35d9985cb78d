//! `overcoat sign`: signs an image that was built with `Verity=defer`, in place.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use rustix::fs::{Mode, OFlags};
use serde_json::json;

use super::failure::Failure;
use super::output::{self, Style};
use super::render::inert;
use super::{exit, images};
use crate::ddi::{self, SignError, Signed};
use crate::digest::hexadecimal;
use crate::publish::{self, Refreshed};
use crate::signing::{self, CERTIFICATE_FILE, KEY_FILE, Signer};

const ABOUT: &str = "Signs images that were built with `Verity=defer`, in place, after it has checked that their data are \
                     those of their root hash";

/// Where an option stands in the help that comes after the verb's own.
const LAST: usize = 100;

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
    #[error("`{path}` is signed, but its checksums are those it had before")]
    Checksums {
        path: PathBuf,
        source: publish::Error,
    },
}

/// Runs the verb with the program's arguments, and returns its exit status.
pub(super) fn main(style: Style) -> ExitCode {
    images::main(command(), style, run)
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
    images::command("overcoat sign", ABOUT)
        .mut_arg("json", |json| json.display_order(LAST))
        .mut_arg("help", |help| help.display_order(LAST + 1))
        .arg(images::image_argument("image", "IMAGE", "").num_args(1..))
        .arg(path("key", "verity-key", KEY_FILE, "Key that signs"))
        .arg(path(
            "certificate",
            "verity-certificate",
            CERTIFICATE_FILE,
            "Certificate of the key",
        ))
        .arg(images::flag("force", "Sign again what is signed").short('f'))
}

fn run(matches: &ArgMatches, style: Style) -> Result<u8, Failure> {
    let signed = match matches.get_flag("force") {
        true => Signed::Replace,
        false => Signed::Refuse,
    };
    let key = images::path(matches, "key");
    let signer = Signer::from_files(&key, &images::path(matches, "certificate"))
        .map_err(|error: signing::Error| Failure::new(error, exit::BAD_RECIPE))?;
    for path in matches.get_many::<PathBuf>("image").into_iter().flatten() {
        let (root_hash, refreshed) =
            sign(path, &signer, signed).map_err(|error| Failure::new(error, exit::BUILD_FAILED))?;
        let path = path.to_string_lossy();
        if matches.get_flag("json") {
            let event = json!({
                "event": "image-signed",
                "path": path,
                "root_hash": root_hash,
                "certificate_fingerprint": hexadecimal(&signer.certificate_fingerprint()),
                "checksums": refreshed.checksums,
                "stale_signatures": refreshed.stale_signatures,
            });
            output::json(format_args!("{event}\n"));
        } else {
            let path = inert(&path, style);
            output::people(format_args!("signed {path}: root hash {root_hash}\n"));
            tell(&refreshed, style);
        }
    }
    Ok(exit::SUCCESS)
}

/// Tells what has become of the checksums.
fn tell(refreshed: &Refreshed, style: Style) {
    for path in &refreshed.checksums {
        let path = path.to_string_lossy();
        output::people(format_args!("updated {}\n", inert(&path, style)));
    }
    for path in &refreshed.stale_signatures {
        let path = path.to_string_lossy();
        output::people(format_args!(
            "warning: {} is the signature of the checksums as they were before; sign them again with `gpg \
             --detach-sign`\n",
            inert(&path, style)
        ));
    }
}

/// Returns the root hash of the image, and what has become of its checksums.
fn sign(path: &Path, signer: &Signer, signed: Signed) -> Result<(String, Refreshed), Error> {
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
    let refreshed = publish::refresh_checksums(path).map_err(|source| Error::Checksums {
        path: path.to_owned(),
        source,
    })?;
    Ok((root_hash.to_string(), refreshed))
}
