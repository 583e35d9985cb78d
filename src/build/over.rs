//! A program over the layers of an image: what it changes becomes a layer of its own.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use overcoat_sandbox::{IdMapping, OwnerRecord, Spec};

use super::guard::Guard;
use super::policy::{OverlayPlace, Places, StepKind};
use super::run::{Purpose, run};
use super::stack::Stack;
use super::{Builder, Error, real_ids};
use crate::beneath::{Directory, Place};
use crate::capture::EntryOwner;
use crate::packages::apt;
use crate::store::Staging;
use crate::tree::{InvalidTreePath, TreePath};

/// The place of one layer that is made: its tree is the directory `tree` of the staging directory.
pub(super) struct Over<'a> {
    staging: &'a Staging,
    below: Option<&'a Stack>,
    guard: Guard,
    tree: Directory,
}

impl<'a> Over<'a> {
    /// Makes the empty tree of a layer that is to lie on `below`.
    pub(super) fn new(
        builder: &Builder<'_>,
        staging: &'a Staging,
        below: Option<&'a Stack>,
        guard: Guard,
    ) -> Result<Self, Error> {
        let tree = staging.subdirectory("tree")?;
        if builder.ids == IdMapping::Range {
            real_ids::own(&tree)?;
        }
        Ok(Self {
            staging,
            below,
            guard,
            tree,
        })
    }

    /// Returns where the tree of the layer is.
    pub(super) fn tree(&self) -> &Path {
        self.tree.host_path()
    }

    /// Returns what runs `command` as a step of a kind that has an overlay of the image.
    pub(super) fn spec(
        &self,
        builder: &Builder<'_>,
        kind: StepKind,
        command: Vec<String>,
        places: Places,
    ) -> Result<Spec, Error> {
        self.spec_beside(builder, kind, command, places, ("", &[]))
    }

    /// As [`Over::spec`], of a program that also fills a directory which is at the path `inside` for it, and in which
    /// are the entries of `beside`.
    pub(super) fn spec_beside(
        &self,
        builder: &Builder<'_>,
        kind: StepKind,
        command: Vec<String>,
        places: Places,
        (inside, beside): (&str, &[EntryOwner]),
    ) -> Result<Spec, Error> {
        let real_ids = self.real_ids(builder)?;
        let overlay = OverlayPlace {
            work: self.staging.subdirectory("work")?.host_path().into(),
            guards: std::iter::once(self.guard.path().to_owned())
                .chain(real_ids)
                .collect(),
            machine_id: self.guard.machine_id(),
        };
        let known = match (builder.ids, self.below) {
            (IdMapping::Single, Some(stack)) => stack.entry_owners()?,
            _ => Vec::new(),
        };
        let places = Places {
            below: self.below.into_iter().flat_map(Stack::lowers).collect(),
            changes: Some(self.tree().into()),
            overlay: Some(overlay),
            ..places
        };
        let spec = builder.spec(kind, command, &places).entry_owners(
            known
                .iter()
                .map(|owner| in_sandbox(apt::ROOT, owner))
                .chain(beside.iter().map(|owner| in_sandbox(inside, owner)))
                .collect(),
        );
        Ok(with_devices(builder, spec))
    }

    /// Runs the program of [`Over::spec`] and returns the owners of what cannot tell its own.
    pub(super) fn run(
        &self,
        builder: &Builder<'_>,
        purpose: Purpose<'_>,
        spec: &Spec,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Vec<EntryOwner>, Error> {
        let finished = run(purpose, spec, on_line)?;
        owners(builder, &self.tree, apt::ROOT, &finished.outcome.records)
    }

    /// As [`Over::run`], of a program that also fills the directory `beside`, which is at the path `inside` for it.
    /// Returns the owners of both.
    pub(super) fn run_beside(
        &self,
        builder: &Builder<'_>,
        purpose: Purpose<'_>,
        spec: &Spec,
        (beside, inside): (&Directory, &str),
    ) -> Result<(Vec<EntryOwner>, Vec<EntryOwner>), Error> {
        let finished = run(purpose, spec, &mut |line| purpose.output(line))?;
        let records = &finished.outcome.records;
        Ok((
            owners(builder, &self.tree, apt::ROOT, records)?,
            owners(builder, beside, inside, records)?,
        ))
    }

    /// Makes a directory with what of the layers below has owners, for a step that sees real ones. It lies above them,
    /// and like the guard nothing of it gets into the layer.
    fn real_ids(&self, builder: &Builder<'_>) -> Result<Option<PathBuf>, Error> {
        let (IdMapping::Range, Some(below)) = (builder.ids, self.below) else {
            return Ok(None);
        };
        let place = Place::new(self.staging.directory(), "ids".as_ref());
        real_ids::make_real(below.capture()?, &place)?;
        Ok(Some(place.host_path()))
    }
}

/// Adds the devices that the person grants, where programs that work on the image find them.
fn with_devices(builder: &Builder<'_>, spec: Spec) -> Spec {
    builder.grants.devices().fold(spec, |spec, device| {
        let below = device.strip_prefix("/").unwrap_or(device);
        spec.device(device, Path::new(apt::ROOT).join(below))
    })
}

/// Returns who owns what cannot tell it in `directory`, which was at `inside` for the program that left `records`.
fn owners(
    builder: &Builder<'_>,
    directory: &Directory,
    inside: &str,
    records: &[OwnerRecord],
) -> Result<Vec<EntryOwner>, Error> {
    Ok(match builder.ids {
        IdMapping::Single => {
            entry_owners(inside, records).map_err(|source| Error::RecordedPath { source })?
        }
        IdMapping::Range => real_ids::record(directory)?,
    })
}

/// Returns a record of a layer below with its path inside the sandbox.
fn in_sandbox(inside: &str, owner: &EntryOwner) -> OwnerRecord {
    OwnerRecord {
        path: Path::new(inside).join(owner.path.as_path()),
        uid: owner.uid,
        gid: owner.gid,
    }
}

/// Returns the records as a layer keeps them, without those of what lies outside of its place.
fn entry_owners(inside: &str, records: &[OwnerRecord]) -> Result<Vec<EntryOwner>, InvalidTreePath> {
    let below = |record: &OwnerRecord| {
        let path = record.path.strip_prefix(inside).ok()?;
        let path = TreePath::new(path.as_os_str().as_bytes());
        Some(path.map(|path| EntryOwner {
            path,
            uid: record.uid,
            gid: record.gid,
        }))
    };
    records.iter().filter_map(below).collect()
}
