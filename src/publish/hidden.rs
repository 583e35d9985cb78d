//! The directory in which outputs wait for their places.

use std::path::Path;

use rustix::fs::Mode;

use super::Error;
use crate::beneath::Directory;
use crate::store;

pub(crate) const HIDDEN: &str = ".overcoat";

/// How many builds in a row may remove the output directory between its being found and its being opened.
const ATTEMPTS: u32 = 100;

/// The directory in which outputs are staged. It goes when this is dropped, unless another build uses it.
#[derive(Debug)]
pub(super) struct HiddenDirectory {
    output: Directory,
    /// Whether the output directory did not exist before.
    made_output: bool,
    hidden: Directory,
}

impl HiddenDirectory {
    /// Makes the hidden directory of `output`, and `output` itself when it does not exist.
    pub(super) fn make(output: &Path) -> Result<Self, Error> {
        let mut attempts = 1..=ATTEMPTS;
        let made = loop {
            let attempt = attempts.next();
            match Self::attempt(output) {
                // Another build that ended has removed what it had made, and this one had found.
                Err(error) if is_gone(&error) && attempt.is_some() => {}
                made => break made?,
            }
        };
        // What is staged is not yet what anybody asked for, and may hold set-id programs.
        match made.hidden.set_own_mode(Mode::RWXU) {
            // The same may happen to the hidden directory; who stages next finds out.
            Err(error) if error.is_not_found() => {}
            done => done.map_err(|error| Error::Prepare {
                path: output.into(),
                source: error.into(),
            })?,
        }
        Ok(made)
    }

    fn attempt(output: &Path) -> Result<Self, Error> {
        let prepare = |source| Error::Prepare {
            path: output.into(),
            source,
        };
        // The person names this directory, or the recipe one inside its own; what is below is reached from it.
        let made_output = !output.exists();
        fs_err::create_dir_all(output).map_err(prepare)?;
        let opened = Directory::open(output).map_err(|error| prepare(error.into()))?;
        match store::own_directory(&opened, HIDDEN) {
            Ok(hidden) => Ok(Self {
                output: opened,
                made_output,
                hidden,
            }),
            Err(error) => {
                remove_empty(&opened, made_output);
                Err(match error {
                    store::Error::NotDirectory { path } => Error::NotDirectory { path },
                    source => Error::Stage {
                        path: output.into(),
                        source,
                    },
                })
            }
        }
    }

    /// Returns the directory itself.
    pub(super) fn directory(&self) -> &Directory {
        &self.hidden
    }

    /// Returns the directory that it is in, for outputs.
    pub(super) fn output(&self) -> &Directory {
        &self.output
    }
}

impl Drop for HiddenDirectory {
    fn drop(&mut self) {
        // Only an empty directory goes. Another build may be staging beside us; then it stays.
        let _ = self.output.remove_directory(HIDDEN);
        remove_empty(&self.output, self.made_output);
    }
}

/// Removes the output directory if this build has made it and it is empty.
fn remove_empty(output: &Directory, made_output: bool) {
    if made_output {
        // Its path may be another directory's by now, of which only an empty one could go.
        let _ = fs_err::remove_dir(output.host_path());
    }
}

/// Tells whether something that was there a moment before is not there any more.
fn is_gone(error: &Error) -> bool {
    let source = match error {
        Error::Prepare { source, .. } => source,
        Error::Stage {
            source: store::Error::Prepare { source, .. },
            ..
        } => source,
        _ => return false,
    };
    source.kind() == std::io::ErrorKind::NotFound
}
