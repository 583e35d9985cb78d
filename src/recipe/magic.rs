//! The files and directories whose presence is a value, such as `mkosi.output` and `mkosi.seed`.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::assign;
use super::discovery::Reader;
use super::error::RecipeError;
use super::origin::Origin;
use super::settings::{self, Magic, Setting, Support};
use super::syntax::SyntaxProblem;
use super::values::{Kind, Value};

/// What is in a directory, so that not each name has to be asked for: most directories have few of them.
#[derive(Debug)]
pub(super) struct Names(Option<BTreeSet<OsString>>);

impl Names {
    /// Lists a directory; of one that cannot be listed, every name may be there.
    pub(super) fn of(directory: &Path) -> Self {
        let names = fs_err::read_dir(directory).and_then(|entries| {
            let names = entries.map(|entry| Ok(entry?.file_name()));
            names.collect()
        });
        Self(names.ok())
    }

    pub(super) fn may_have(&self, name: &str) -> bool {
        let names = self.0.as_ref();
        names.is_none_or(|names| names.contains(OsStr::new(name)))
    }
}

impl Reader<'_, '_> {
    /// Applies the files and directories whose presence is a value.
    pub(super) fn magic_files(&mut self, directory: &Path) {
        let names = Names::of(directory);
        self.programs.note_directory(directory, &names);
        self.programs.note_image(&self.image, self.around);
        for setting in settings::all() {
            for magic in setting.magic {
                let path = directory.join(magic.name());
                if names.may_have(magic.name()) && path.exists() {
                    self.magic_file(setting, *magic, &path, directory);
                }
            }
        }
    }

    fn magic_file(
        &mut self,
        setting: &'static Setting,
        magic: Magic,
        path: &Path,
        directory: &Path,
    ) {
        let origin = Origin::Magic {
            path: self.around.shown(path),
        };
        // A key or cache beside a subimage's `mkosi.conf` is passed over without a word.
        if !self.image.may_set(setting) {
            return;
        }
        let values = match magic {
            Magic::Path(_) => self.found(setting, path, &origin),
            Magic::Entries(_, ending) => self
                .entries(path)
                .into_iter()
                .filter(|entry| entry.to_string_lossy().ends_with(ending))
                .flat_map(|entry| self.found(setting, &entry, &origin))
                .collect(),
            Magic::Text(_) => {
                if let Some(text) = self.magic_text(setting, path, &origin, directory) {
                    self.assign(setting, &text.replace('%', "%%"), &origin, directory);
                }
                return;
            }
        };
        if values.is_empty() {
            return;
        }
        assign::check_support(setting, "", &values, &origin, self.findings);
        self.image.layers.files.assign(setting, values, &origin);
    }

    fn found(&mut self, setting: &'static Setting, path: &Path, origin: &Origin) -> Vec<Value> {
        assign::found(
            setting,
            path,
            origin,
            &self.image,
            self.around,
            self.findings,
        )
        .unwrap_or_default()
    }

    /// Returns the text of a file, or what it prints if it is executable.
    fn magic_text(
        &mut self,
        setting: &'static Setting,
        path: &Path,
        origin: &Origin,
        directory: &Path,
    ) -> Option<String> {
        let mode = fs_err::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
        if setting.kind == Kind::Password && mode & 0o007 != 0 {
            self.findings.error(RecipeError::OpenSecret {
                origin: origin.clone(),
                path: self.around.shown(path),
                mode: mode & 0o777,
            });
        }
        let bytes = if mode & 0o111 == 0 {
            self.bytes(path)?
        } else if let Support::Unsupported { reason, .. } = setting.support {
            self.findings.refuse(RecipeError::Unsupported {
                origin: origin.clone(),
                setting: setting.name,
                value: origin.to_string(),
                reason: reason.to_owned(),
            });
            return None;
        } else {
            self.program_output(setting, path, origin, directory)?
        };
        if mode & 0o111 == 0 && bytes.starts_with(b"#!/") {
            self.findings.error(RecipeError::NotExecutable {
                origin: origin.clone(),
                path: self.around.shown(path),
            });
            return None;
        }
        match String::from_utf8(bytes) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(_) => {
                self.findings.error(RecipeError::Syntax {
                    origin: origin.clone(),
                    problem: SyntaxProblem::NotUtf8,
                });
                None
            }
        }
    }
    /// Returns what an executable file prints. It sees the recipe's directory, or the included one that it lies in.
    fn program_output(
        &mut self,
        setting: &'static Setting,
        path: &Path,
        origin: &Origin,
        directory: &Path,
    ) -> Option<Vec<u8>> {
        let real = self.inside(path)?;
        let seen = match real.starts_with(&self.around.root) {
            true => self.around.root.clone(),
            false => self.inside(directory)?,
        };
        let refused = |source| RecipeError::Program {
            origin: origin.clone(),
            setting: setting.name,
            source,
        };
        match self.programs.output(&real, &seen) {
            Ok(bytes) => Some(bytes),
            Err(source) => {
                self.findings.error(refused(source));
                None
            }
        }
    }
}
