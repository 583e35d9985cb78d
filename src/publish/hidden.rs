//! The directory in which outputs wait for their places.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::Error;
use crate::store;

const HIDDEN: &str = ".overcoat";

/// The directory in which outputs are staged. It goes when this is dropped, unless another build uses it.
#[derive(Debug)]
pub(super) struct HiddenDirectory {
    output: PathBuf,
    /// Whether the output directory did not exist before.
    made_output: bool,
}

impl HiddenDirectory {
    /// Makes the hidden directory of `output`, and `output` itself when it does not exist.
    pub(super) fn make(output: &Path) -> Result<Self, Error> {
        let made_output = !output.exists();
        let prepare = |source| Error::Prepare {
            path: output.into(),
            source,
        };
        fs::create_dir_all(output).map_err(prepare)?;
        let made = Self {
            output: output.into(),
            made_output,
        };
        match store::directory_below(output, Path::new(HIDDEN)) {
            Ok(hidden) => {
                // What is staged is not yet what anybody asked for, and may hold set-id programs.
                match fs::set_permissions(&hidden, PermissionsExt::from_mode(0o700)) {
                    // Another build that ended has removed it again; who stages next finds out.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    done => done.map_err(prepare)?,
                }
                Ok(made)
            }
            Err(store::Error::NotDirectory { path }) => Err(Error::NotDirectory { path }),
            Err(source) => Err(Error::Stage {
                path: output.into(),
                source,
            }),
        }
    }

    /// Returns where the directory is.
    pub(super) fn path(&self) -> PathBuf {
        self.output.join(HIDDEN)
    }
}

impl Drop for HiddenDirectory {
    fn drop(&mut self) {
        // Only empty directories go. Another build may be staging beside us; then both stay.
        let _ = fs::remove_dir(self.path());
        if self.made_output {
            let _ = fs::remove_dir(&self.output);
        }
    }
}
