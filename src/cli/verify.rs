//! `overcoat verify`: every byte of an image, and whose it is.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, Command, value_parser};
use serde_json::json;

use super::failure::Failure;
use super::images::{self, ImageError};
use super::output::{self, Style};
use super::render::inert;
use super::{exit, render};
use crate::ddi::RootHash;
use crate::ddi::read::{CertificateText, Finding, Required, Verification, verify};
use crate::signing::read_certificate;

const ABOUT: &str = "Checks every byte of an image: its partition tables, its file system against its hash tree, the \
                     tree against its signature, and that nothing is where nothing should be";
const AFTER: &str = "\
The exit status is 0 for a good image, 1 for a bad one, and 2 when it could not be looked at. Without `--certificate` or \
`--root-hash` an image that somebody made to be mistaken for another is good.";

/// Runs the verb with the program's arguments, and returns its exit status.
pub(super) fn main(style: Style) -> ExitCode {
    images::main(command(), style, run)
}

fn command() -> Command {
    images::command("overcoat verify", ABOUT)
        .after_help(AFTER)
        .arg(images::image_argument(
            "image",
            "IMAGE",
            "Image or file system",
        ))
        .arg(
            Arg::new("certificate")
                .long("certificate")
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .help("Certificate, in PEM form, whose key must have signed the image"),
        )
        .arg(
            Arg::new("root-hash")
                .long("root-hash")
                .value_name("HEX")
                .value_parser(root_hash)
                .help("Root hash that the image must have"),
        )
}

fn root_hash(text: &str) -> Result<RootHash, &'static str> {
    RootHash::from_hexadecimal(text).ok_or("expected 64 hex digits")
}

fn run(matches: &clap::ArgMatches, style: Style) -> Result<u8, Failure> {
    let path = images::path(matches, "image");
    let certificate = matches
        .get_one::<PathBuf>("certificate")
        .map(|path| read_certificate(path))
        .transpose()
        .map_err(ImageError::Certificate)?;
    let required = Required {
        certificate: certificate.as_ref(),
        root_hash: matches.get_one::<RootHash>("root-hash").copied(),
        workers: images::workers(),
    };
    let image = images::open(&path)?;
    let verification = verify(&image, &required);
    let certificate = certificate
        .filter(|_| verification.is_authentic)
        .and_then(|certificate| CertificateText::of(&certificate).ok());
    let shown = path.to_string_lossy();
    if matches.get_flag("json") {
        let findings: Vec<_> = verification.findings.iter().map(chain).collect();
        let report = json!({
            "image": shown,
            "good": verification.is_good(),
            "findings": findings,
            "unchecked": verification.unchecked,
            "root_hash": verification.root_hash.map(|hash| hash.to_string()),
            "authentic": verification.is_authentic,
            "certificate_fingerprint": certificate.map(|found| found.fingerprint),
        });
        output::json(format_args!("{report:#}"));
    } else {
        let text = text(&shown, &verification, certificate.as_ref(), style);
        output::data(format_args!("{text}"));
    }
    Ok(match verification.is_good() {
        true => exit::SUCCESS,
        false => exit::BUILD_FAILED,
    })
}

/// Returns the messages of a finding and its causes.
fn chain(finding: &Finding) -> Vec<String> {
    std::iter::successors(Some(finding as &dyn std::error::Error), |error| {
        error.source()
    })
    .map(ToString::to_string)
    .collect()
}

fn text(
    path: &str,
    verification: &Verification,
    certificate: Option<&CertificateText>,
    style: Style,
) -> String {
    let mut lines: Vec<String> = Vec::new();
    for finding in &verification.findings {
        lines.push(format!("bad: {}", chain(finding).join(": ")));
    }
    for unchecked in &verification.unchecked {
        lines.push(format!("not checked: {unchecked}"));
    }
    if let Some(root_hash) = verification.root_hash {
        lines.push(format!("root hash: {root_hash}"));
    }
    if let Some(certificate) = certificate {
        lines.push(format!(
            "signed by: {} ({})",
            certificate.subject, certificate.fingerprint
        ));
    }
    lines.push(match (verification.is_good(), verification.is_authentic) {
        (true, true) => format!("{path} is good, and signed by the certificate's key"),
        (true, false) => format!("{path} is good"),
        (false, _) => format!("{path} is bad"),
    });
    lines
        .iter()
        .map(|line| render::indented(&inert(line, style), "", style) + "\n")
        .collect()
}
