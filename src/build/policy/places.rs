//! Where on the host the things are that a row names, which only a build knows, and where they are inside.

use std::path::{Path, PathBuf};

use crate::build::Reach;

/// Where the recipe's sources are, inside the sandbox. These are mkosi's.
pub(crate) const SOURCES: &str = "/work/src";
/// Where the directory is that build scripts keep, inside the sandbox.
pub(in crate::build) const BUILD: &str = "/work/build";
/// Where build scripts install what goes into the image, inside the sandbox.
pub(in crate::build) const DESTINATION: &str = "/work/dest";
/// Where scripts put packages for later steps, inside the sandbox.
pub(in crate::build) const PACKAGES: &str = "/work/packages";
/// Where scripts put other files for later steps, inside the sandbox.
pub(in crate::build) const ARTIFACTS: &str = "/work/artifacts";
/// Where outputs wait to be published, inside the sandbox.
pub(in crate::build) const OUTPUT: &str = "/work/out";

/// What one step is given of the host. Of what its row does not name nothing is given to it, whether it is here or not.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The text of the package manager's configuration file.
    pub configuration: String,
    /// The text of its list of repositories.
    pub repositories: String,
    /// More files of its configuration, by their paths inside.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// What a step with the mirrors' network reaches.
    pub reach: Reach,
    pub lists: Option<PathBuf>,
    pub archives: Option<PathBuf>,
    /// The layers of the image below the step, the topmost first; none of a new image.
    pub below: Vec<PathBuf>,
    /// The step's own tree of the image.
    pub changes: Option<PathBuf>,
    /// What an overlay of the image needs.
    pub overlay: Option<OverlayPlace>,
    pub sources: Option<PathBuf>,
    /// The same for steps that only seem to write there, those above others first.
    pub source_overlays: Vec<SourcePlace>,
    pub build: Option<PathBuf>,
    pub destination: Option<PathBuf>,
    pub handed: Option<HandedPlaces>,
    pub output: Option<PathBuf>,
    /// Values of variables that a build gives.
    pub variables: Vec<(&'static str, String)>,
}

/// A directory of the sources, and where goes what is written to it.
#[derive(Clone, Debug)]
pub struct SourcePlace {
    /// The topmost first.
    pub lowers: Vec<PathBuf>,
    pub changes: PathBuf,
    pub work: PathBuf,
    /// The path below the place of the sources; empty for that itself.
    pub below: PathBuf,
}

/// The directories of what scripts hand on.
#[derive(Clone, Debug)]
pub struct HandedPlaces {
    pub packages: PathBuf,
    pub artifacts: PathBuf,
}

/// What an overlay of the image needs besides its layers.
#[derive(Clone, Debug)]
pub struct OverlayPlace {
    pub work: PathBuf,
    /// Directories above the layers that keep programs from what they must not do to a build. Nothing of them gets into
    /// the image.
    pub guards: Vec<PathBuf>,
    /// The machine id that programs see, where that is not the image's.
    pub machine_id: Option<PathBuf>,
}

impl Places {
    /// Returns these places for a step that reaches `reach`.
    pub(in crate::build) fn with_reach(self, reach: &Reach) -> Self {
        Self {
            reach: reach.clone(),
            ..self
        }
    }

    /// Returns places of telling names below `directory`, in which everything that a row can name is.
    pub fn below(directory: &Path) -> Self {
        let place = |name: &str| directory.join(name);
        let guard = place("GUARD");
        Self {
            configuration: String::new(),
            repositories: String::new(),
            files: Vec::new(),
            reach: Reach::of_public_mirrors(),
            lists: Some(place("LISTS")),
            archives: Some(place("ARCHIVES")),
            below: vec![place("IMAGE")],
            changes: Some(place("CHANGES")),
            overlay: Some(OverlayPlace {
                work: place("WORK"),
                machine_id: Some(guard.join("machine-id")),
                guards: vec![guard],
            }),
            sources: Some(place("SOURCES")),
            source_overlays: vec![SourcePlace {
                lowers: vec![place("HIDING"), place("SOURCES")],
                changes: place("SOURCE-CHANGES"),
                work: place("SOURCE-WORK"),
                below: PathBuf::new(),
            }],
            build: Some(place("BUILD")),
            destination: Some(place("DESTINATION")),
            handed: Some(HandedPlaces {
                packages: place("PACKAGES"),
                artifacts: place("ARTIFACTS"),
            }),
            output: Some(place("OUTPUT")),
            variables: vec![("SOURCE_DATE_EPOCH", "0".to_owned())],
        }
    }
}
