//! Scripts of the recipe: each runs in a sandbox of its own, in the order and with the contract of mkosi.
//!
//! `environment` says what a script is told, `sources` what it sees of the recipe, `workshop` holds what scripts of one
//! image hand to each other, `helpers` are the programs that it finds besides the host's, and `run` runs it; `apart` are
//! those that work without the image.

mod apart;
mod built;
mod environment;
mod helpers;
mod run;
mod sources;
mod workshop;

pub(super) use self::apart::{Synced, clean, post_output, sync};
pub(super) use self::built::add_built;
pub(super) use self::run::{build, change};
pub(super) use self::sources::{decides, is_private};
pub(super) use self::workshop::Workshop;

use super::policy::StepKind;
use crate::recipe::{Recipe, Script};

/// What a script is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Before anything is built, on the sources.
    Sync,
    /// After packages, in the image.
    Prepare,
    /// The same scripts once more, in what is built in.
    PrepareBuild,
    Build,
    PostInstall,
    Finalize,
    /// On the outputs, before they are published.
    PostOutput,
    /// When outputs are removed.
    Clean,
}

impl Kind {
    /// Returns how a step is called for people.
    fn step_name(self, script: &Script) -> String {
        let verb = match self {
            Self::PrepareBuild => "prepare the build with",
            _ => "run",
        };
        format!("{verb} {}", script.shown.display())
    }

    /// Returns the name of the script's file below `/work`, which is mkosi's.
    fn file_name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Prepare | Self::PrepareBuild => "prepare",
            Self::Build => "build-script",
            Self::PostInstall => "postinst",
            Self::Finalize => "finalize",
            Self::PostOutput => "postoutput",
            Self::Clean => "clean",
        }
    }

    fn step_kind(self) -> StepKind {
        match self {
            Self::Sync => StepKind::Sync,
            Self::Prepare | Self::PrepareBuild | Self::Build => StepKind::Script,
            Self::PostInstall | Self::Finalize => StepKind::Finalize,
            Self::PostOutput | Self::Clean => StepKind::PostOutput,
        }
    }

    /// Returns the scripts of this kind.
    fn scripts(self, recipe: &Recipe) -> &[Script] {
        let scripts = &recipe.scripts;
        match self {
            Self::Sync => &scripts.sync,
            Self::Prepare | Self::PrepareBuild => &scripts.prepare,
            Self::Build => &scripts.build,
            Self::PostInstall => &scripts.postinst,
            Self::Finalize => &scripts.finalize,
            Self::PostOutput => &scripts.postoutput,
            Self::Clean => &scripts.clean,
        }
    }

    /// Returns what follows the name of the script; `typed` is what the person typed after the verb.
    fn arguments(self, typed: &[String]) -> Vec<String> {
        match self {
            Self::Sync | Self::Prepare | Self::PostInstall => vec!["final".to_owned()],
            Self::PrepareBuild => vec!["build".to_owned()],
            Self::Build => typed.to_vec(),
            Self::Finalize | Self::PostOutput | Self::Clean => Vec::new(),
        }
    }

    /// Tells whether scripts of this kind have the network without a word of the recipe; all need the person's.
    fn fetches(self) -> bool {
        matches!(self, Self::Sync | Self::Prepare | Self::PrepareBuild)
    }

    /// Tells whether scripts of this kind work on the image.
    fn has_image(self) -> bool {
        !matches!(self, Self::Sync | Self::PostOutput | Self::Clean)
    }
}
