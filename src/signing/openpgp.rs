//! Detached OpenPGP signatures, made by the person's own program with the person's own keys.
//!
//! The program is started before the build confines itself, where the person's agent, home and terminal are within its
//! reach, and waits for something to sign. It gets that when the last sandbox is gone. Nothing of a recipe chooses the
//! program, and no variable of the environment but those that lead to keys and to the person goes to it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;

use crate::Hint;

/// The tool that knows its keys by name; every other one reads its key from a file (Stateless OpenPGP, `sop sign`).
const GPG: &str = "gpg";

/// What leads to the keys, and to the person who is asked for a passphrase.
const VARIABLES: [&str; 11] = [
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "GNUPGHOME",
    "GPG_TTY",
    "HOME",
    "LANG",
    "PATH",
    "TERM",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
];

/// Something could not be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenPgpError {
    #[error("`{tool}` is not installed on this machine")]
    ToolMissing { tool: String },
    #[error("starting `{tool}`")]
    Start { tool: String, source: io::Error },
    #[error("`{tool}` has no secret key `{key}`")]
    KeyMissing { tool: String, key: String },
    #[error("`{tool}` has no secret key")]
    NoKey { tool: String },
    #[error("`{tool}` needs a key, and there is no `Key=`")]
    KeyUnnamed { tool: String },
    #[error("reading the key `{path}`")]
    KeyFile { path: PathBuf, source: io::Error },
    #[error("talking to `{tool}`")]
    Talk { tool: String, source: io::Error },
    #[error("`{tool}` has made no signature ({status}){}", said(.message))]
    Failed {
        tool: String,
        status: ExitStatus,
        message: String,
    },
}

/// Adds what a program said, indented.
fn said(message: &str) -> String {
    let lines = message.lines().map(|line| format!("\n  {line}"));
    lines.collect()
}

impl Hint for OpenPgpError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::ToolMissing { tool } if tool == GPG => "install the package `gpg`",
            Self::KeyMissing { .. } | Self::KeyUnnamed { .. } => "name another one with `--key=`",
            Self::NoKey { .. } => "make one with `gpg --quick-generate-key`, or remove `Sign=`",
            _ => return None,
        };
        Some(hint.into())
    }
}

/// A program that waits for what it is to sign. It ends when this is dropped.
#[derive(Debug)]
pub struct DetachedSigner {
    tool: String,
    child: Option<Child>,
}

impl DetachedSigner {
    /// Starts `tool` with a key, after it has made sure that both are there. `environment` is the person's.
    ///
    /// # Errors
    /// An [`OpenPgpError`] that says what is missing.
    pub fn start(
        tool: &str,
        key: Option<&str>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, OpenPgpError> {
        let mut command = program(tool, environment);
        if tool == GPG {
            check_key(key, environment)?;
            command.args(["--batch", "--quiet", "--no-armor"]);
            if let Some(key) = key {
                // Unlike `--default-key`, this never falls back on another one.
                command.arg(format!("--local-user={key}"));
            }
            command.arg("--detach-sign");
        } else {
            let key = key.ok_or_else(|| OpenPgpError::KeyUnnamed { tool: tool.into() })?;
            let path = fs_err::canonicalize(key).map_err(|source| OpenPgpError::KeyFile {
                path: key.into(),
                source,
            })?;
            command.arg("sign").arg(path);
        }
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| unstarted(tool, source))?;
        Ok(Self {
            tool: tool.to_owned(),
            child: Some(child),
        })
    }

    /// Returns the signature of `bytes`.
    ///
    /// # Errors
    /// [`OpenPgpError::Failed`] with what the program said, or [`OpenPgpError::Talk`].
    pub fn sign(mut self, bytes: &[u8]) -> Result<Vec<u8>, OpenPgpError> {
        let mut child = self.child.take().expect("it is there until it is used");
        if let Some(mut input) = child.stdin.take() {
            // A program that does not listen any more says why when it ends.
            let _ = input.write_all(bytes);
        }
        let output = child
            .wait_with_output()
            .map_err(|source| OpenPgpError::Talk {
                tool: self.tool.clone(),
                source,
            })?;
        if output.status.success() && !output.stdout.is_empty() {
            return Ok(output.stdout);
        }
        Err(OpenPgpError::Failed {
            tool: self.tool.clone(),
            status: output.status,
            message: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

impl Drop for DetachedSigner {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It has nothing to lose, and a failed build has other things to tell.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The signers of a run, by the names of images.
#[derive(Debug, Default)]
pub struct Signers(Mutex<BTreeMap<String, DetachedSigner>>);

impl Signers {
    /// Adds the signer of an image.
    pub fn add(&mut self, image: &str, signer: DetachedSigner) {
        let signers = self.0.get_mut();
        let signers = signers.unwrap_or_else(std::sync::PoisonError::into_inner);
        signers.insert(image.to_owned(), signer);
    }

    /// Returns the signer of an image, which is good for one signature.
    pub fn take(&self, image: &str) -> Option<DetachedSigner> {
        let signers = self.0.lock();
        let mut signers = signers.unwrap_or_else(std::sync::PoisonError::into_inner);
        signers.remove(image)
    }
}

/// Returns a program of the person's with nothing but what it needs of their environment.
fn program(tool: &str, environment: &BTreeMap<String, String>) -> Command {
    let path = environment.get("PATH").map(String::as_str);
    let found = std::env::split_paths(OsStr::new(path.unwrap_or_default()))
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(tool))
        .find(|candidate| candidate.is_file());
    let mut command = Command::new(found.as_deref().unwrap_or(Path::new(tool)));
    command
        .env_clear()
        .envs(
            environment
                .iter()
                .filter(|(name, _)| VARIABLES.contains(&name.as_str())),
        )
        .current_dir("/");
    command
}

fn unstarted(tool: &str, source: io::Error) -> OpenPgpError {
    let tool = tool.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => OpenPgpError::ToolMissing { tool },
        _ => OpenPgpError::Start { tool, source },
    }
}

/// Fails when gpg does not have the key, or has none at all.
fn check_key(
    key: Option<&str>,
    environment: &BTreeMap<String, String>,
) -> Result<(), OpenPgpError> {
    let mut command = program(GPG, environment);
    command.args(["--batch", "--with-colons", "--list-secret-keys", "--"]);
    let Output { stdout, .. } = command
        .args(key)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| unstarted(GPG, source))?;
    let is_key = |line: &[u8]| line.starts_with(b"sec");
    let tool = GPG.to_owned();
    match (stdout.split(|byte| *byte == b'\n').any(is_key), key) {
        (true, _) => Ok(()),
        (false, None) => Err(OpenPgpError::NoKey { tool }),
        (false, Some(key)) => Err(OpenPgpError::KeyMissing {
            tool,
            key: key.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Returns an environment whose programs are those of `directory`.
    fn environment(directory: &Path) -> BTreeMap<String, String> {
        let path = format!("{}:/usr/bin:/bin", directory.display());
        BTreeMap::from([
            ("PATH".to_owned(), path),
            ("HOME".to_owned(), "/nowhere".to_owned()),
            ("SECRET".to_owned(), "x".to_owned()),
        ])
    }

    fn tool(directory: &Path, name: &str, script: &str) {
        let path = directory.join(name);
        fs_err::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn other_tool_gets_its_key_as_a_file_and_little_of_the_environment() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("key");
        fs_err::write(&key, "").unwrap();
        tool(directory.path(), "sop", "echo \"$1 $2 $SECRET$HOME\"; cat");
        let environment = environment(directory.path());
        let signer = DetachedSigner::start("sop", key.to_str(), &environment).unwrap();
        let expected = format!("sign {} /nowhere\nsums", key.display());
        let signature = signer.sign(b"sums").unwrap();
        assert_eq!(String::from_utf8(signature).unwrap(), expected);
    }

    #[test]
    fn tool_that_fails_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("key");
        fs_err::write(&key, "").unwrap();
        tool(directory.path(), "sop", "echo no >&2; exit 3");
        let environment = environment(directory.path());
        let signer = DetachedSigner::start("sop", key.to_str(), &environment).unwrap();
        let error = signer.sign(b"sums").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sop` has made no signature (exit status: 3)\n  no"
        );
    }

    #[test]
    fn what_is_missing_is_told_before_anything_is_signed() {
        let directory = tempfile::tempdir().unwrap();
        let environment = environment(directory.path());
        let start = |tool, key| {
            let error = DetachedSigner::start(tool, key, &environment).unwrap_err();
            error.to_string()
        };
        assert_eq!(
            start("sop", None),
            "`sop` needs a key, and there is no `Key=`"
        );
        assert_eq!(start("sop", Some("/absent")), "reading the key `/absent`");
        assert_eq!(
            start("no-such-sop", Some("/")),
            "`no-such-sop` is not installed on this machine"
        );
        tool(directory.path(), "gpg", "exit 2");
        assert_eq!(start("gpg", None), "`gpg` has no secret key");
        assert_eq!(start("gpg", Some("me")), "`gpg` has no secret key `me`");
    }
}
