//! The state of one run over all images.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use overcoat_sandbox::{IdMapping, Spec};

use super::disk::Disk;
use super::local::LocalPackages;
use super::output::Unsigned;
use super::policy::{self, Host, Places, StepKind};
use super::protection::{Protection, missing_protection, strictness};
use super::run::{Interrupt, Purpose};
use super::{Error, Event, Limits, Observer, Options, script};
use crate::beneath::Directory;
use crate::packages::apt::Stanza;
use crate::plan::{Key, KeyBuilder};
use crate::publish::OutputDirectory;
use crate::recipe::{Grants, Recipe};
use crate::source::Scratch;
use crate::store::{self, Layer, LayerMetadata, Lock, Place, Staging, Store, Trust, TrustedStore};

/// How long to wait before asking for a lock again. A call that blocks until the lock is free could not be interrupted:
/// signals go to a thread of their own.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// What a tree may hold where nobody has set a limit: one that says more would be read for hours.
const CONTENTS_LIMIT_BYTES: u64 = 1 << 40;

/// The state of one run over all images.
pub(super) struct Builder<'a> {
    pub(super) store: Store,
    pub(super) host: Host,
    /// What a build that is not trusted may read.
    pub(super) trusted: Option<TrustedStore>,
    pub(super) trust: Trust,
    /// Work that lives as long as the run.
    pub(super) staging: Staging,
    pub(super) output: OutputDirectory,
    pub(super) host_repositories: &'a [Stanza],
    pub(super) ignore_store: bool,
    pub(super) ids: IdMapping,
    pub(super) protection: Protection,
    /// What the promises need and the kernel lacks, where a person lets the build go on.
    pub(super) missing_protection: Vec<String>,
    pub(super) limits: Limits,
    pub(super) control_group: Option<&'a Path>,
    pub(super) disk: Disk,
    pub(super) grants: &'a Grants,
    /// What no script may see, though it may lie in the sources.
    pub(super) private: BTreeSet<PathBuf>,
    pub(super) configurations: &'a BTreeMap<String, String>,
    pub(super) arguments: &'a [String],
    pub(super) debug: bool,
    pub(super) observer: &'a dyn Observer,
    pub(super) interrupt: &'a Interrupt,
    /// Snapshots of the repository metadata that this run has refreshed.
    pub(super) metadata: BTreeMap<Key, Arc<Directory>>,
    /// What tells it from older and newer, by the same keys.
    pub(super) metadata_stamps: BTreeMap<String, String>,
    /// The newest time in each image that was made, in seconds since 1970.
    pub(super) build_times: BTreeMap<String, i64>,
    /// Checksums that are to be signed when the last sandbox is gone.
    pub(super) unsigned: Vec<Unsigned>,
    /// The recipes' own packages, by the places in which they were looked for.
    pub(super) local_packages: BTreeMap<Vec<PathBuf>, Arc<LocalPackages>>,
    /// The names of what the last build of each image made.
    pub(super) known_outputs: BTreeMap<String, BTreeSet<String>>,
    /// What scripts have written to the sources.
    pub(super) synced: script::Synced,
    /// Layers of this run that are not in the store, because it is ignored.
    pub(super) own_layers: RefCell<BTreeMap<Key, (Layer, Staging)>>,
}

impl<'a> Builder<'a> {
    /// Opens what a run over images of `recipe` and others of its project works with. Nothing of `private` is shown to
    /// scripts.
    pub(super) fn open(
        place: &Place,
        store: Store,
        private: BTreeSet<PathBuf>,
        recipe: &Recipe,
        options: &Options<'a>,
    ) -> Result<Self, Error> {
        let trusted = match &place.trusted {
            Some(root) => TrustedStore::open(root)?,
            None => None,
        };
        let staging = store.stage()?;
        let disk = Disk::new(options.limits.disk_bytes, store.root().join("staging"));
        let missing_protection = missing_protection(options.grants);
        Ok(Self {
            missing_protection,
            store,
            host: Host::here(),
            trusted,
            trust: options.trust,
            staging,
            output: OutputDirectory::open(&recipe.output_directory)?,
            host_repositories: options.host_repositories,
            ignore_store: options.ignore_store,
            ids: options.ids,
            protection: Protection::new(strictness(options.grants), options.seccomp_profile),
            limits: options.limits,
            control_group: options.control_group,
            disk,
            grants: options.grants,
            private,
            configurations: options.configurations,
            arguments: options.arguments,
            debug: options.debug,
            observer: options.observer,
            interrupt: options.interrupt,
            metadata: BTreeMap::new(),
            metadata_stamps: BTreeMap::new(),
            build_times: BTreeMap::new(),
            unsigned: Vec::new(),
            local_packages: BTreeMap::new(),
            known_outputs: BTreeMap::new(),
            synced: script::Synced::default(),
            own_layers: RefCell::new(BTreeMap::new()),
        })
    }

    /// Waits for a lock that another build may hold, until this build is told to stop.
    pub(super) fn wait_for(
        &self,
        image: &str,
        mut try_lock: impl FnMut() -> Result<Option<Lock>, store::Error>,
    ) -> Result<Lock, Error> {
        let mut told = false;
        loop {
            if let Some(lock) = try_lock()? {
                return Ok(lock);
            }
            if !told {
                let text = "another build is making what this one needs; waiting for it";
                self.observer.event(&Event::Warning { image, text });
                told = true;
            }
            self.interrupt.check()?;
            std::thread::sleep(LOCK_PAUSE);
        }
    }

    pub(super) fn purpose<'b>(&'b self, image: &'b str, step: &'b str) -> Purpose<'b> {
        Purpose {
            image,
            step,
            protection: &self.protection,
            control_group: self.control_group,
            disk: &self.disk,
            observer: self.observer,
            interrupt: self.interrupt,
        }
    }

    /// Returns where archives and images are unpacked, and how much they may hold.
    pub(super) fn scratch<'b>(&self, directory: &'b Directory) -> Scratch<'b> {
        Scratch {
            directory,
            limit_bytes: self.limits.disk_bytes.unwrap_or(CONTENTS_LIMIT_BYTES),
        }
    }

    /// Returns what runs `command` as a step of a kind: nothing else in a build makes a specification.
    pub(super) fn spec(&self, kind: StepKind, command: Vec<String>, places: &Places) -> Spec {
        let policy = policy::policy(kind);
        policy::spec(policy, command, &self.host, places, self.ids, &self.limits)
    }

    /// Adds to the key of a layer what decides how any program works on an image.
    pub(super) fn common_key(&self, key: KeyBuilder) -> KeyBuilder {
        let key = self.protection.key(key);
        // Programs may do something else where ids are real, or where they have a device.
        let key = match self.ids {
            IdMapping::Single => key,
            IdMapping::Range => key.field("ids", "range"),
        };
        let devices: Vec<_> = self.grants.devices().collect();
        match devices.is_empty() {
            true => key,
            false => {
                let devices = devices.iter().map(|path| path.as_os_str().as_bytes());
                key.list("devices", devices)
            }
        }
    }

    /// Returns the layer of `key`: from the stores, or from this run when they are ignored.
    pub(super) fn layer(&self, key: &Key) -> Result<Option<Layer>, Error> {
        if self.ignore_store {
            return Ok(self
                .own_layers
                .borrow()
                .get(key)
                .map(|(layer, _)| layer.clone()));
        }
        match (self.store.layer(key)?, &self.trusted) {
            (None, Some(trusted)) => Ok(trusted.layer(key)?),
            (found, _) => Ok(found),
        }
    }

    /// Keeps the `tree` directory of `staging` as the layer of `key`: in the store, or for this run alone.
    pub(super) fn add_layer(
        &self,
        key: &Key,
        staging: Staging,
        metadata: LayerMetadata,
    ) -> Result<Layer, Error> {
        if self.ignore_store {
            return Ok(self.keep_for_run(key, staging, metadata));
        }
        let layer = self.store.add_layer(key, staging, &metadata)?;
        self.disk.keep(&layer.tree);
        Ok(layer)
    }

    /// Keeps the `tree` directory of `staging` as the layer of `key` for this run alone.
    pub(super) fn keep_for_run(
        &self,
        key: &Key,
        staging: Staging,
        metadata: LayerMetadata,
    ) -> Layer {
        let layer = Layer {
            tree: staging.path().join("tree"),
            metadata,
        };
        self.disk.keep(&layer.tree);
        self.own_layers
            .borrow_mut()
            .insert(key.clone(), (layer.clone(), staging));
        layer
    }

    /// Returns the settings of an image as JSON.
    pub(super) fn configuration(&self, image: &str) -> &'a str {
        self.configurations.get(image).map_or("", String::as_str)
    }
}
