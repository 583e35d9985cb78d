//! What each image was made of the last time. A build makes again what has changed since, and says what that is.
//!
//! A record lies in the store, where no recipe can put one. It is removed before outputs are replaced and written when
//! they are in place: whenever there is one, the outputs are made of what it says.

mod change;
mod files;
mod inputs;

pub use self::change::Change;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use openssl::sha::sha256;
use serde::{Deserialize, Serialize};

use self::inputs::Inputs;
use super::{Error, Event, Options, output_path};
use crate::digest::hexadecimal;
use crate::plan::{ImagePlan, Key, KeyBuilder};
use crate::publish::Published;
use crate::recipe::{Format, Recipe};
use crate::store::{Staging, Store};

/// One build of an image.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Record {
    inputs: Inputs,
    /// What repositories had, by the keys of their metadata in the store.
    metadata: BTreeMap<String, String>,
    /// The newest time in the image, in seconds since 1970.
    build_time: i64,
    /// The names of all that was written, in the output directory.
    outputs: BTreeSet<String>,
}

/// Whether an image is to be made.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum State {
    Due(Vec<Change>),
    UpToDate,
    /// There is an output, and nobody knows what it was made of.
    Unknown,
}

/// An image of a run, as it was before.
#[derive(Debug)]
pub(super) struct Looked<'a> {
    pub(super) plan: &'a ImagePlan<'a>,
    pub(super) state: State,
    /// The names of what the last build made.
    pub(super) outputs: BTreeSet<String>,
    key: Key,
    inputs: Inputs,
}

/// The images of a run so far, by output: what each is called, and a digest of its record if that still holds.
#[derive(Debug, Default)]
pub(super) struct Images(BTreeMap<PathBuf, (String, Option<String>)>);

impl Images {
    /// Looks at what the image of `plan` is made of now. `hidden` is what no script sees.
    ///
    /// # Errors
    /// [`Error::Look`] when something cannot be read.
    pub(super) fn look<'a>(
        &mut self,
        store: &Store,
        plan: &'a ImagePlan<'a>,
        options: &Options<'_>,
        hidden: &BTreeSet<PathBuf>,
    ) -> Result<Looked<'a>, Error> {
        let recipe = plan.recipe;
        let output = output_path(recipe);
        let key = key_of(recipe);
        if recipe.format == Format::None {
            // It makes no output that could be there.
            return Ok(Looked {
                plan,
                state: State::Due(Vec::new()),
                outputs: BTreeSet::new(),
                key,
                inputs: Inputs::default(),
            });
        }
        let text = store.record(&key);
        // What another version of this program has written may be no record, and then there is none.
        let before: Option<Record> =
            { text.as_ref() }.and_then(|text| serde_json::from_slice(text).ok());
        let (inputs, mut changes) = inputs::look(
            recipe,
            options,
            hidden,
            &self.0,
            before.as_ref().map(|record| &record.inputs),
        )?;
        if let Some(before) = &before {
            changes.extend(inputs::changes(&before.inputs, &inputs, before.build_time));
            let is_same = |(key, stamp): (&String, &String)| {
                store.metadata_stamp(key).as_ref() == Some(stamp)
            };
            if !before.metadata.iter().all(is_same) {
                changes.push(Change::Metadata);
            }
        }
        let outputs = before.iter().flat_map(|record| &record.outputs);
        let missing = { outputs.map(|name| recipe.output_directory.join(name)) }
            .chain([output.clone()])
            .find(|path| fs_err::symlink_metadata(path).is_err());
        let is_missing = missing.is_some();
        changes.extend(missing.map(|path| Change::Missing { path }));
        let state = match &before {
            None if is_missing => State::Due(Vec::new()),
            None => State::Unknown,
            _ if changes.is_empty() => State::UpToDate,
            _ => State::Due(changes),
        };
        let digest = text.filter(|_| state == State::UpToDate);
        let digest = digest.map(|text| hexadecimal(&sha256(&text)));
        // Who builds again whatever there is has images that are not what they were.
        let digest = digest.filter(|_| !options.rebuild);
        self.0.insert(output, (recipe.name.clone(), digest));
        Ok(Looked {
            plan,
            state,
            outputs: before.map(|record| record.outputs).unwrap_or_default(),
            key,
            inputs,
        })
    }
}

impl Looked<'_> {
    /// Forgets the last build, because its outputs are about to be replaced.
    pub(super) fn forget(&self, store: &Store) -> Result<(), Error> {
        Ok(store.forget_record(&self.key)?)
    }
}

/// A run whose outputs are in place.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) store: &'a Store,
    pub(super) staging: &'a Staging,
    pub(super) published: &'a [Published],
    pub(super) metadata: &'a BTreeMap<String, String>,
    pub(super) build_times: &'a BTreeMap<String, i64>,
}

impl Run<'_> {
    /// Keeps what the outputs of the images were made of.
    ///
    /// # Errors
    /// [`Error::Store`] when it cannot be kept.
    pub(super) fn keep(&self, made: Vec<Looked<'_>>) -> Result<(), Error> {
        let mut digests = BTreeMap::new();
        for looked in made {
            let image = &looked.plan.recipe.name;
            let outputs = { self.published.iter() }.filter(|published| published.image == *image);
            let mut inputs = looked.inputs;
            for (name, digest) in &mut inputs.images {
                if let Some(found) = digests.get(name) {
                    digest.clone_from(found);
                }
            }
            let record = Record {
                inputs,
                metadata: self.metadata.clone(),
                build_time: self.build_times.get(image).copied().unwrap_or_default(),
                outputs: outputs.filter_map(name_of).collect(),
            };
            if record.outputs.is_empty() {
                continue;
            }
            let text = serde_json::to_vec(&record).expect("it was made of what can be serialised");
            digests.insert(image.clone(), hexadecimal(&sha256(&text)));
            self.store.keep_record(&looked.key, &text, self.staging)?;
        }
        Ok(())
    }
}

/// Returns how each image is, in their order.
///
/// # Errors
/// [`Error::Look`] when something that an image is made of cannot be read.
pub(super) fn look<'a>(
    store: &Store,
    plans: &[&'a ImagePlan<'a>],
    options: &Options<'_>,
    hidden: &BTreeSet<PathBuf>,
) -> Result<Vec<Looked<'a>>, Error> {
    let mut images = Images::default();
    plans
        .iter()
        .map(|plan| images.look(store, plan, options, hidden))
        .collect()
}

/// Returns the images that are to be made, and tells why they are and others are not.
pub(super) fn due<'a>(looked: Vec<Looked<'a>>, options: &Options<'_>) -> Vec<Looked<'a>> {
    let is_due = |looked: &Looked<'_>| {
        let image = &looked.plan.recipe.name;
        match &looked.state {
            _ if options.rebuild => return true,
            State::Due(changes) => {
                options.observer.event(&Event::ImageDue { image, changes });
                return true;
            }
            State::UpToDate => options.observer.event(&Event::ImageUpToDate { image }),
            State::Unknown => {
                let output = output_path(looked.plan.recipe);
                let text = format!("{}; `--force` builds it again", unknown(&output));
                options
                    .observer
                    .event(&Event::Warning { image, text: &text });
            }
        }
        false
    };
    looked.into_iter().filter(is_due).collect()
}

/// Says that an output is there.
fn unknown(output: &Path) -> String {
    format!(
        "`{}` exists already, and what it was made of is not known",
        output.display()
    )
}

/// What a build would do with an image, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Explanation {
    pub image: String,
    pub is_due: bool,
    /// What has changed. An image that is due for nothing was never built.
    pub changes: Vec<Change>,
    /// Why it is left alone although nobody knows whether it has changed.
    pub left_alone: Option<String>,
}

impl From<Looked<'_>> for Explanation {
    fn from(looked: Looked<'_>) -> Self {
        let output = output_path(looked.plan.recipe);
        let mut explanation = Self {
            image: looked.plan.recipe.name.clone(),
            is_due: matches!(looked.state, State::Due(_)),
            changes: Vec::new(),
            left_alone: (looked.state == State::Unknown).then(|| unknown(&output)),
        };
        if let State::Due(changes) = looked.state {
            explanation.changes = changes;
        }
        explanation
    }
}

fn name_of(published: &Published) -> Option<String> {
    Some(published.path.file_name()?.to_string_lossy().into_owned())
}

/// Returns the names of what the last build of `recipe` made, scripts included.
pub fn known_outputs(store: &Store, recipe: &Recipe) -> BTreeSet<String> {
    let text = store.record(&key_of(recipe));
    let record: Option<Record> = text.and_then(|text| serde_json::from_slice(&text).ok());
    record.map(|record| record.outputs).unwrap_or_default()
}

/// Returns the key of the last build that wrote the output of `recipe`, whatever recipe it was of.
fn key_of(recipe: &Recipe) -> Key {
    let directory = &recipe.output_directory;
    let real = fs_err::canonicalize(directory).unwrap_or_else(|_| directory.clone());
    let name = recipe.output_file_name();
    KeyBuilder::new("record")
        .field("directory", real.as_os_str().as_bytes())
        .field("output", OsStr::new(&name).as_bytes())
        .finish()
}
