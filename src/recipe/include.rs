//! What `Include=` names: files and directories, and configuration that comes with the program.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::builtin::{self, Builtin};
use super::discovery::{Extent, Reader, reading};
use super::error::RecipeError;
use super::grants::Access;
use super::origin::Origin;
use super::values::Value;

/// Something to be read where it is named.
#[derive(Clone, Debug)]
pub(super) enum Included {
    Path { path: PathBuf, origin: Origin },
    Builtin(&'static Builtin),
}

impl Reader<'_, '_> {
    /// Has what `Include=` names be read next.
    pub(super) fn include(&mut self, values: Vec<Value>, origin: &Origin, directory: &Path) {
        for value in values {
            let builtin = match &value {
                Value::Text(name) => builtin::named(name),
                Value::Path(path) => path
                    .strip_prefix(directory)
                    .ok()
                    .and_then(Path::to_str)
                    .and_then(builtin::named),
                _ => None,
            };
            match (builtin, value) {
                (Some(builtin), _) => self.pending.push_back(Included::Builtin(builtin)),
                (None, Value::Path(path)) => self.pending.push_back(Included::Path {
                    path,
                    origin: origin.clone(),
                }),
                (None, _) => {}
            }
        }
    }

    /// Reads what was named to be included. As mkosi has it, that happens after every assignment: of two files named
    /// together, the second is read after the first assignment in the first.
    pub(super) fn read_included(&mut self, directory: &Path) {
        while let Some(included) = self.pending.pop_front() {
            match included {
                Included::Path { path, origin } => self.read_path(&path, &origin, directory),
                Included::Builtin(builtin) => {
                    if !self.builtins.contains(&builtin.name) {
                        self.builtins.push(builtin.name);
                        self.builtin(builtin, directory);
                    }
                }
            }
        }
    }

    fn read_path(&mut self, path: &Path, origin: &Origin, directory: &Path) {
        let Ok(real) = self.around.real.of(path) else {
            self.findings.error(RecipeError::IncludeMissing {
                origin: origin.clone(),
                path: self.around.shown(path),
            });
            return;
        };
        if matches!(origin, Origin::CommandLine { .. }) {
            self.image.included.push(real.clone());
        }
        if !self.image.permits(&real, Access::Read, self.around) {
            self.findings.error(RecipeError::IncludeOutside {
                origin: origin.clone(),
                path: self.around.shown(path),
                grant: reading(real),
            });
            return;
        }
        let identity = fs_err::metadata(&real).map(|metadata| (metadata.dev(), metadata.ino()));
        if identity.is_ok_and(|identity| !self.included.insert(identity)) {
            return;
        }
        if path.is_dir() {
            self.directory(path, Extent::Included);
        } else {
            self.file(path, directory);
        }
    }
}
