//! The files and directories whose presence is a value, such as `mkosi.output` and `mkosi.seed`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::assign;
use super::discovery::Reader;
use super::error::RecipeError;
use super::origin::Origin;
use super::settings::{self, Magic, Setting, Support};
use super::syntax::SyntaxProblem;
use super::values::{Kind, Value};

impl Reader<'_> {
    /// Applies the files and directories whose presence is a value.
    pub(super) fn magic_files(&mut self, directory: &Path) {
        for setting in settings::all() {
            for magic in setting.magic {
                let path = directory.join(magic.name());
                if path.exists() {
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
        if let Support::NoEffect(_) = setting.support {
            return;
        }
        if !self.image.is_main() && !setting.scope.allows_subimage() {
            // A key or cache beside a subimage's `mkosi.conf` is not used; mkosi does not say so.
            self.findings.note(
                &origin,
                format!(
                    "`{}` is not used: `{}=` is set for the main image only",
                    origin, setting.name
                ),
            );
            return;
        }
        let values = match magic {
            Magic::Path(_) if setting.kind == Kind::Trees => assign::tree_at(path),
            Magic::Path(_) => vec![Value::Path(path.to_owned())],
            Magic::Entries(_, ending) => self
                .entries(path)
                .into_iter()
                .filter(|entry| entry.to_string_lossy().ends_with(ending))
                .map(Value::Path)
                .collect(),
            Magic::Text(_) => {
                if let Some(text) = self.magic_text(path, &origin) {
                    self.assign(setting, &text.replace('%', "%%"), &origin, directory);
                }
                return;
            }
        };
        if values.is_empty() {
            return;
        }
        if let Some(values) = assign::supported(setting, "", values, &origin, self.findings) {
            self.image.layers.files.assign(setting, values, &origin);
        }
    }

    fn magic_text(&mut self, path: &Path, origin: &Origin) -> Option<String> {
        let mode = fs_err::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o111 != 0 {
            let error = RecipeError::Executable {
                origin: origin.clone(),
                path: self.around.shown(path),
            };
            self.findings.error(error);
            return None;
        }
        let bytes = self.bytes(path)?;
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
}
