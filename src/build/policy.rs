//! What each kind of step may see and do, as data: the one place that decides it.
//!
//! A step is given nothing that its row does not name. The rows are walked by [`spec`] to make every specification of a
//! build, printed by `overcoat sandbox --print-spec`, and pinned as a whole by a test, so that a step that is to see
//! more shows up in a review. What every step has in common (namespaces, an empty root, `no_new_privs`, the table of
//! system calls) is the sandbox's own.

mod describe;
mod host;
mod places;
mod spec;
mod table;
#[cfg(test)]
mod tests;

use std::time::Duration;

use overcoat_sandbox::Capability;

pub use self::describe::Cell;
pub use self::host::Host;
pub(crate) use self::places::SOURCES;
pub(super) use self::places::{ARTIFACTS, BUILD, DESTINATION, OUTPUT, PACKAGES};
pub use self::places::{HandedPlaces, OverlayPlace, Places, SourcePlace};
pub use self::spec::{base, spec, without_programs};
pub use self::table::policy;

/// What a program is started for. Each kind has one row in the table.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum StepKind {
    Metadata,
    Resolve,
    Download,
    Unpack,
    Install,
    Sync,
    Script,
    SetUp,
    Finalize,
    PostOutput,
    Configuration,
}

/// One row: what the steps of a kind may see and do.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub kind: StepKind,
    /// How the kind is called at the command line.
    pub name: &'static str,
    /// What runs in such a step, and whose code that is.
    pub purpose: &'static str,
    pub network: Network,
    pub package_manager: PackageManager,
    /// The repositories' metadata.
    pub lists: Access,
    /// The downloaded packages.
    pub archives: Access,
    pub image: Image,
    /// The recipe's sources.
    pub sources: Sources,
    /// The directory that build scripts keep from one build to the next.
    pub build: Access,
    /// The directory for what build scripts install into the image.
    pub destination: Access,
    /// The directories for packages and other files that scripts hand to later steps.
    pub handed: Access,
    /// The directory in which outputs wait to be published.
    pub output: Access,
    pub ids: Ids,
    pub sync: Sync,
    /// The variables of the environment, beside those that all steps have.
    pub variables: &'static [&'static [Variable]],
    pub capabilities: &'static [Capability],
    pub limits: Limits,
    /// Why a column holds more than the least that it can.
    pub reasons: &'static [(Column, &'static str)],
}

/// A column of the table of which a cell can hold more or less.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Column {
    Network,
    PackageManager,
    Lists,
    Archives,
    Image,
    Sources,
    Build,
    Destination,
    Handed,
    Output,
    Ids,
    Sync,
    Variables,
    Capabilities,
}

/// Which network a step has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Network {
    /// Loopback of its own.
    None,
    /// What it takes to reach the mirrors: the network, the names of hosts and the certificates to check them with.
    Mirrors,
}

/// Whether the configuration of the package manager and its list of repositories is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PackageManager {
    Absent,
    Configured,
}

/// Whether a directory that is not the image is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    Absent,
    Read,
    Write,
}

/// What a step has of the recipe's sources. None can write to them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sources {
    Absent,
    /// The directory itself, of which the caller hides what is private.
    Read,
    /// Copies that only seem to be made: writable, and what is written is thrown away. What is private is not there.
    Overlay,
}

/// What a step has of the image's tree.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Image {
    Absent,
    /// An empty list of installed packages.
    NoPackages,
    /// The tree as it is below the step.
    ReadOnly,
    /// The step's own new tree, with nothing below it.
    New,
    /// The tree below, with the step's changes on top and what programs in it need: proc, devices, empty `/run` and
    /// `/tmp`, and what keeps them from starting services.
    Overlay,
}

/// Which ids there are besides 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ids {
    /// None.
    One,
    /// Others are recorded when they are given to files.
    Record,
    /// Others are recorded, and programs are told so.
    RecordAndAnswer,
}

/// Whether what is written is waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sync {
    /// fsync(2) and its kin do what they say.
    Kept,
    /// They do nothing.
    Suppressed,
}

/// A variable of a step's environment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Variable {
    /// The same in every build.
    Fixed(&'static str, &'static str),
    /// Taken from the caller's environment, if it is there.
    Caller(&'static str),
    /// Given by the build, see [`Places::variables`].
    Build(&'static str),
}

/// How much of the host's resources a step may use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How long it may take.
    pub wall_clock: Duration,
}

impl StepKind {
    /// Every kind, in the order of a build.
    pub const ALL: [Self; 11] = [
        Self::Configuration,
        Self::Sync,
        Self::Metadata,
        Self::Resolve,
        Self::Download,
        Self::Unpack,
        Self::Install,
        Self::Script,
        Self::SetUp,
        Self::Finalize,
        Self::PostOutput,
    ];

    /// Returns the kind of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| policy(*kind).name == name)
    }
}
