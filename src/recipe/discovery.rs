//! Finds and reads the files of one image, in the order that decides which value wins.
//!
//! A directory is read as: its conditions, its local files, the files whose presence is a value, `mkosi.conf`,
//! `mkosi.conf.d/`, the selected profiles. `Include=` is read where it stands. Nothing outside the recipe's directory is
//! read on its word.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use super::assign;
use super::bounds::NextFile;
use super::error::RecipeError;
use super::findings::Findings;
use super::grants::{Access, Grant};
use super::image::{Image, Surroundings};
use super::include::Included;
use super::matching;
use super::nearest::nearest;
use super::origin::Origin;
use super::place::Place;
use super::program::Programs;
use super::settings::{self, Section, Setting};
use super::syntax::{self, Document, SyntaxProblem};

/// How deep directories may include each other: more than any recipe needs, and few enough to stop a circle of links.
const MAX_DEPTH: usize = 32;

/// The largest file that is read as configuration.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 20;

/// What is read of a directory besides its configuration.
#[derive(Clone, Copy, Debug)]
pub(super) enum Extent {
    /// That of an image: local files and profiles.
    Image,
    /// What is included has profiles.
    Included,
    /// A part of another directory: neither.
    Part,
}

/// Reads the files of one image.
#[derive(Debug)]
pub(super) struct Reader<'a, 'p> {
    pub(super) around: &'a Surroundings,
    pub(super) image: Image,
    pub(super) findings: &'a mut Findings,
    /// Profiles for which there was a file in some directory.
    pub(super) found_profiles: &'a mut BTreeSet<String>,
    pub(super) programs: &'a mut Programs<'p>,
    /// The files read, by device and inode: each counts once.
    pub(super) included: BTreeSet<(u64, u64)>,
    /// What was named to be included and is still to be read.
    pub(super) pending: VecDeque<Included>,
    /// The configurations of the program that were read.
    pub(super) builtins: Vec<&'static str>,
    depth: usize,
}

impl<'a, 'p> Reader<'a, 'p> {
    pub(super) fn new(
        around: &'a Surroundings,
        image: Image,
        findings: &'a mut Findings,
        found_profiles: &'a mut BTreeSet<String>,
        programs: &'a mut Programs<'p>,
    ) -> Self {
        Self {
            around,
            image,
            findings,
            found_profiles,
            programs,
            included: BTreeSet::new(),
            pending: VecDeque::new(),
            builtins: Vec::new(),
            depth: 0,
        }
    }

    /// Reads a directory; returns whether its conditions hold.
    pub(super) fn directory(&mut self, directory: &Path, extent: Extent) -> bool {
        // Files that are there or not would be values already.
        if self.inside(directory).is_none() {
            return true;
        }
        let Some(()) = self.descend(directory) else {
            return true;
        };
        let file = directory.join("mkosi.conf");
        let document = if file.is_file() {
            self.document(&file)
        } else {
            None
        };
        let matches = document
            .as_ref()
            .is_none_or(|document| self.is_for_this_image(document, directory));
        if matches {
            self.image.directories.push(directory.to_owned());
            if matches!(extent, Extent::Image) {
                self.local_files(directory);
            }
            self.magic_files(directory);
            if let Some(document) = &document {
                self.image.files.push(file);
                self.settings(&document.read, directory);
            }
            self.drop_ins(directory);
            if !matches!(extent, Extent::Part) {
                self.profiles(directory);
            }
        }
        self.depth -= 1;
        matches
    }

    /// Reads a file, whose relative paths start at `directory`; returns whether its conditions hold.
    pub(super) fn file(&mut self, file: &Path, directory: &Path) -> bool {
        let Some(()) = self.descend(file) else {
            return true;
        };
        let document = self.document(file);
        let matches = document
            .as_ref()
            .is_none_or(|document| self.is_for_this_image(document, directory));
        if let Some(document) = document.filter(|_| matches) {
            self.image.files.push(file.to_owned());
            self.settings(&document.read, directory);
        }
        self.depth -= 1;
        matches
    }

    fn descend(&mut self, path: &Path) -> Option<()> {
        match self.around.bounds.next_file() {
            NextFile::Permitted => {}
            NextFile::TooMany => {
                let path = self.around.shown(path);
                self.findings.error(RecipeError::TooManyFiles { path });
                return None;
            }
            NextFile::Ended => return None,
        }
        if self.depth == MAX_DEPTH {
            let path = self.around.shown(path);
            self.findings.error(RecipeError::TooDeep { path });
            // Two links in each directory would lead to twice as many at every depth.
            self.around.bounds.end();
            return None;
        }
        self.depth += 1;
        Some(())
    }

    fn document(&mut self, file: &Path) -> Option<Read> {
        let bytes = self.bytes(file)?;
        Some(Read::new(&self.around.shown(file), &bytes))
    }

    /// Returns whether the conditions of a file hold. If they do not, its mistakes are nobody's.
    pub(super) fn is_for_this_image(&mut self, document: &Read, directory: &Path) -> bool {
        let matches = self.conditions_hold(&document.read, directory);
        for (place, problem) in &document.problems {
            let problem = RecipeError::Syntax {
                origin: Origin::File(place.clone()),
                problem: problem.clone(),
            };
            match matches {
                true => self.findings.error(problem),
                false => self.findings.warn(problem),
            }
        }
        matches
    }

    /// Returns the real path of what is there, which must lie where the recipe may reach.
    pub(super) fn inside(&mut self, path: &Path) -> Option<PathBuf> {
        let shown = self.around.shown(path);
        match self.around.real.of(path) {
            Ok(real) if self.image.permits(&real, Access::Read, self.around) => Some(real),
            Ok(real) => {
                self.findings.error(RecipeError::IncludeOutside {
                    origin: Origin::Magic {
                        path: shown.clone(),
                    },
                    path: shown,
                    grant: reading(real),
                });
                None
            }
            Err(source) => {
                self.findings.error(RecipeError::Read {
                    path: shown,
                    source,
                });
                None
            }
        }
    }

    /// Reads a file of the recipe, which must lie where the recipe may reach.
    pub(super) fn bytes(&mut self, file: &Path) -> Option<Vec<u8>> {
        let real = self.inside(file)?;
        // What was permitted is what is read: a link that took a name's place since then is not followed.
        match self.around.bounds.read(&real) {
            Ok(bytes) => Some(bytes),
            Err(source) => {
                self.findings.error(RecipeError::Read {
                    path: self.around.shown(file),
                    source,
                });
                None
            }
        }
    }

    /// Reads `mkosi.local/` and `mkosi.local.conf`, which beat all other files but not the command line.
    fn local_files(&mut self, directory: &Path) {
        for name in ["mkosi.local", "mkosi.local.conf"] {
            let path = directory.join(name);
            let is_directory = name == "mkosi.local";
            if path.is_dir() != is_directory || !path.exists() {
                continue;
            }
            if is_directory {
                self.directory(&path, Extent::Part);
            } else {
                self.file(&path, directory);
            }
            self.image.layers.promote();
        }
    }

    pub(super) fn settings(&mut self, document: &Document, directory: &Path) {
        for section in &document.sections {
            if matching::is_condition_section(&section.name) {
                continue;
            }
            let Some(known) = Section::named(&section.name) else {
                let error = RecipeError::UnknownSection {
                    origin: Origin::File(section.place.clone()),
                    name: section.name.clone(),
                    nearest: nearest(
                        &section.name,
                        Section::ALL.map(Section::name).into_iter().chain([
                            "Match",
                            "TriggerMatch",
                            "Assert",
                            "TriggerAssert",
                        ]),
                    ),
                };
                self.findings.warn(error);
                continue;
            };
            for assignment in &section.assignments {
                let origin = Origin::File(assignment.place.clone());
                if let Some(setting) = self.setting(&assignment.key, known, &section.name, &origin)
                {
                    self.assign(setting, &assignment.value, &origin, directory);
                    self.read_included(directory);
                }
            }
        }
    }

    /// Finds the row of a key, or says what is wrong with the key.
    fn setting(
        &mut self,
        key: &str,
        section: Section,
        section_name: &str,
        origin: &Origin,
    ) -> Option<&'static Setting> {
        let name = key.strip_prefix('@').unwrap_or(key);
        let Some(setting) = settings::named(name).or_else(|| settings::former_name(name)) else {
            self.findings.warn(RecipeError::UnknownSetting {
                origin: origin.clone(),
                name: name.to_owned(),
                section: section_name.to_owned(),
                nearest: settings::nearest_setting(name).map(|setting| setting.name),
            });
            return None;
        };
        if key != setting.name {
            self.findings.warn(RecipeError::FormerName {
                origin: origin.clone(),
                former: key.to_owned(),
                present: setting.name,
            });
        }
        // A section may go by its former name.
        if setting.section != section || section.name() != section_name {
            // mkosi applies it, and its own tutorial has `CacheDirectory=` in `[Output]`.
            self.findings.warn(RecipeError::WrongSection {
                origin: origin.clone(),
                setting: setting.name,
                belongs: setting.section,
                section: section_name.to_owned(),
            });
        }
        if !self.image.may_set(setting) {
            self.findings.error(RecipeError::Scope {
                origin: origin.clone(),
                name: setting.name,
                image: self.image.name.clone(),
            });
            return None;
        }
        Some(setting)
    }

    /// Assigns text to a setting, and reads what it includes.
    pub(super) fn assign(
        &mut self,
        setting: &'static Setting,
        text: &str,
        origin: &Origin,
        directory: &Path,
    ) {
        match assign::value(
            setting,
            text,
            origin,
            &self.image,
            self.around,
            directory,
            self.findings,
        ) {
            Some(values) if setting.name == "Include" => self.include(values, origin, directory),
            Some(values) => self.image.layers.files.assign(setting, values, origin),
            None => {}
        }
    }

    fn drop_ins(&mut self, directory: &Path) {
        for path in self.entries(&directory.join("mkosi.conf.d")) {
            if path.is_dir() {
                self.directory(&path, Extent::Part);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "conf")
            {
                self.file(&path, directory);
            }
        }
    }

    fn profiles(&mut self, directory: &Path) {
        let profiles = self
            .image
            .get(settings::known("Profiles"), self.around)
            .unwrap_or_default();
        for profile in profiles {
            let name = profile.value.to_string();
            let path = directory.join("mkosi.profiles").join(&name);
            let file = directory
                .join("mkosi.profiles")
                .join(format!("{name}.conf"));
            for path in [path, file] {
                if path.exists() {
                    self.found_profiles.insert(name.clone());
                }
                if path.is_dir() {
                    self.directory(&path, Extent::Part);
                } else if path.is_file() {
                    self.file(&path, directory);
                }
            }
        }
    }

    /// Returns the entries of a directory in the order of their names; none when there is no such directory.
    pub(super) fn entries(&mut self, directory: &Path) -> Vec<PathBuf> {
        // What lies elsewhere must not decide by its names either.
        if !directory.is_dir() || self.inside(directory).is_none() {
            return Vec::new();
        }
        let read = || -> std::io::Result<Vec<PathBuf>> {
            let mut paths = Vec::new();
            for entry in fs_err::read_dir(directory)? {
                paths.push(entry?.path());
            }
            paths.sort();
            Ok(paths)
        };
        read().unwrap_or_else(|source| {
            let path = self.around.shown(directory);
            self.findings.error(RecipeError::Read { path, source });
            Vec::new()
        })
    }
}

/// Returns whether a section is one that is looked into.
fn is_section(name: &str) -> bool {
    Section::named(name).is_some() || matching::is_condition_section(name)
}

/// A file and what is wrong with its lines.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) read: Document,
    problems: Vec<(Place, SyntaxProblem)>,
}

impl Read {
    /// Reads the text of a file that messages call `path`.
    pub(super) fn new(path: &Path, bytes: &[u8]) -> Self {
        let (read, problems) = syntax::read(path, bytes, is_section);
        Self { read, problems }
    }
}

pub(super) fn reading(path: PathBuf) -> Grant {
    let access = Access::Read;
    Grant::Path { path, access }
}
