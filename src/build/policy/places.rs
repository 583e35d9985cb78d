//! Where on the host the things are that a row names, which only a build knows, and where they are inside.

use std::path::{Path, PathBuf};

use crate::build::Reach;

/// Where the recipe's sources are, inside the sandbox. These four are mkosi's.
pub(in crate::build) const SOURCES: &str = "/work/src";
/// Where the directory is that build scripts keep, inside the sandbox.
pub(super) const BUILD: &str = "/work/build";
/// Where build scripts install what goes into the image, inside the sandbox.
pub(super) const DESTINATION: &str = "/work/dest";
/// Where outputs wait to be published, inside the sandbox.
pub(super) const OUTPUT: &str = "/work/out";

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
    pub build: Option<PathBuf>,
    pub destination: Option<PathBuf>,
    pub output: Option<PathBuf>,
    /// Values of variables that a build gives.
    pub variables: Vec<(&'static str, String)>,
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
            build: Some(place("BUILD")),
            destination: Some(place("DESTINATION")),
            output: Some(place("OUTPUT")),
            variables: vec![("SOURCE_DATE_EPOCH", "0".to_owned())],
        }
    }
}
