//! The steps of each image, in order, as data.

use crate::Hint;
use crate::recipe::{Format, Recipe};

/// One image and what is done for it, in order.
#[derive(Clone, Debug)]
pub struct ImagePlan<'a> {
    pub recipe: &'a Recipe,
    pub steps: Vec<Step>,
}

/// One operation in the making of an image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// Use the base trees as the lowest layers.
    UseBaseTrees,
    /// Make a minimal system of the distribution's essential packages.
    Bootstrap,
    /// Put the skeleton trees into the tree, for what installs packages to find.
    AddSkeletonTrees,
    /// Install the recipe's packages as a layer on top.
    InstallPackages,
    /// Install the volatile packages as a layer on top.
    InstallVolatilePackages,
    /// Run the scripts that prepare the image.
    Prepare,
    /// Run the scripts that build what goes into the image.
    Build,
    /// Take from a fresh system what belongs to one machine, one boot or one build.
    CleanSystem,
    /// Put into the tree what the build scripts made.
    AddBuilt,
    /// Put the extra trees into the tree.
    AddExtraTrees,
    /// Run the scripts that complete the image.
    PostInstall,
    /// Complete the tree of a whole system: links for the initrd, its name, certificates.
    CompleteSystem,
    /// Remove the packages that the image is not to keep.
    RemovePackages,
    /// Let the system's own tools make its users, directories and caches, and give it what the recipe says of it.
    SetUpSystem,
    /// Note for the manifest which packages there are.
    ListPackages,
    /// Leave what was added to the base trees.
    TakePayload,
    /// Remove package databases and the files that the recipe names.
    RemoveFiles,
    /// Run the scripts that see the image last.
    Finalize,
    /// Narrow the tree to an extension and describe it.
    MakeExtension,
    /// Check that the tree is a portable service, and give it what one is mounted on.
    MakePortable,
    /// Write the tree in the recipe's format.
    Write,
}

/// A recipe asks for steps that cannot follow each other.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{origin}: the extension `{image}` has packages but no base tree to install them on")]
    ExtensionWithoutBase { image: String, origin: String },
    #[error("{origin}: `{image}` is an overlay without a base tree")]
    OverlayWithoutBase { image: String, origin: String },
    #[error("{origin}: the portable service `{image}` has to be a whole system and is an overlay")]
    PortableOverlay { image: String, origin: String },
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::ExtensionWithoutBase { .. } | Self::OverlayWithoutBase { .. } => {
                "name the output of an image with `Format=directory` in `BaseTrees=`, such as `BaseTrees=%O/base`"
            }
            Self::PortableOverlay { .. } => {
                "remove `Overlay=`, or make an extension of it with `Format=sysext`"
            }
        };
        Some(hint.into())
    }
}

/// Returns the plan for `recipes`, in the same order; images of `Format=none` have no steps.
///
/// # Errors
/// An [`Error`] for each recipe that cannot be planned.
pub fn plan(recipes: &[Recipe]) -> Result<Vec<ImagePlan<'_>>, Vec<Error>> {
    let (mut plans, mut errors) = (Vec::new(), Vec::new());
    for recipe in recipes {
        match steps(recipe) {
            Ok(steps) => plans.push(ImagePlan { recipe, steps }),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(plans)
    } else {
        Err(errors)
    }
}

fn steps(recipe: &Recipe) -> Result<Vec<Step>, Error> {
    if recipe.format == Format::None && recipe.scripts.build.is_empty() {
        return Ok(Vec::new());
    }
    if recipe.format == Format::Portable && recipe.overlay {
        return Err(Error::PortableOverlay {
            image: recipe.name.clone(),
            origin: recipe.origin_of("Overlay", "yes"),
        });
    }
    let extension = recipe.format.is_extension();
    let mut steps = Vec::new();
    if !recipe.base_trees.is_empty() {
        steps.push(Step::UseBaseTrees);
    } else if recipe.overlay {
        return Err(Error::OverlayWithoutBase {
            image: recipe.name.clone(),
            origin: recipe.origin_of("Overlay", "yes"),
        });
    } else if !extension {
        steps.push(Step::Bootstrap);
    } else if let Some((setting, package)) = recipe.changed_packages().next() {
        return Err(Error::ExtensionWithoutBase {
            image: recipe.name.clone(),
            origin: recipe.origin_of(setting, package),
        });
    }
    if !recipe.skeleton_trees.is_empty() {
        steps.push(Step::AddSkeletonTrees);
    }
    if !recipe.packages.is_empty() {
        steps.push(Step::InstallPackages);
    }
    let scripts = &recipe.scripts;
    if !scripts.prepare.is_empty() {
        steps.push(Step::Prepare);
    }
    if !scripts.build.is_empty() {
        steps.push(Step::Build);
    }
    if recipe.format == Format::None {
        // Nothing is made but what build scripts leave in their own directory.
        return Ok(steps);
    }
    if !recipe.package_sources.volatile_packages.is_empty() {
        steps.push(Step::InstallVolatilePackages);
    }
    let whole_system = !recipe.overlay && !extension;
    if whole_system {
        steps.push(Step::CleanSystem);
    }
    if !scripts.build.is_empty() {
        steps.push(Step::AddBuilt);
    }
    if !recipe.extra_trees.is_empty() {
        steps.push(Step::AddExtraTrees);
    }
    if !scripts.postinst.is_empty() {
        steps.push(Step::PostInstall);
    }
    if whole_system {
        steps.extend([Step::CompleteSystem, Step::SetUpSystem]);
    }
    if !recipe.package_sources.removed_packages.is_empty() {
        steps.push(Step::RemovePackages);
    }
    if recipe.manifest || recipe.outputs.changelog {
        steps.push(Step::ListPackages);
    }
    if recipe.overlay {
        steps.push(Step::TakePayload);
    }
    steps.push(Step::RemoveFiles);
    if !scripts.finalize.is_empty() {
        steps.push(Step::Finalize);
    }
    if extension {
        steps.push(Step::MakeExtension);
    }
    if recipe.format == Format::Portable {
        steps.push(Step::MakePortable);
    }
    steps.push(Step::Write);
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::{Error, Step, plan};
    use crate::recipe::{self, Architecture, Distribution, HostFacts, Invocation, Recipe};

    /// Returns the recipes of a directory with the given subimages.
    fn recipes(main: &str, images: &[(&str, &str)]) -> Vec<Recipe> {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("mkosi.conf"), main).unwrap();
        for (name, text) in images {
            let image = directory.path().join("mkosi.images").join(name);
            fs_err::create_dir_all(&image).unwrap();
            fs_err::write(image.join("mkosi.conf"), text).unwrap();
        }
        let host = HostFacts {
            distribution: Some(Distribution::Debian),
            release: Some("bookworm".into()),
            architecture: Architecture::X86_64,
            systemd_version: None,
        };
        let (directory, overrides, environment) =
            (directory.path().into(), Vec::new(), Default::default());
        recipe::load(&Invocation {
            directory,
            overrides,
            environment,
            host,
            grants: Default::default(),
            programs: &crate::build::SandboxedPrograms::STRICT,
        })
        .unwrap()
        .recipes
    }

    const BASE: &str = "[Output]\nFormat=directory\n[Content]\nPackages=systemd\n";
    const EXTENSION: &str = "[Config]\nDependencies=base\n[Output]\nFormat=sysext\nOverlay=yes\n\
                             [Content]\nBaseTrees=%O/base\nPackages=btrfs-progs\n";

    #[test]
    fn the_tutorial_bootstraps_extends_and_finishes() {
        let recipes = recipes(
            "[Output]\nOutputDirectory=out\n",
            &[("base", BASE), ("btrfs", EXTENSION)],
        );
        let plans = plan(&recipes).unwrap();
        let steps: Vec<_> = plans
            .iter()
            .map(|plan| (plan.recipe.name.as_str(), plan.steps.as_slice()))
            .collect();
        use Step::*;
        let base = [
            Bootstrap,
            InstallPackages,
            CleanSystem,
            CompleteSystem,
            SetUpSystem,
            RemoveFiles,
            Write,
        ];
        let btrfs = [
            UseBaseTrees,
            InstallPackages,
            TakePayload,
            RemoveFiles,
            MakeExtension,
            Write,
        ];
        let main = [
            Bootstrap,
            CleanSystem,
            CompleteSystem,
            SetUpSystem,
            RemoveFiles,
            Write,
        ];
        assert_eq!(
            steps,
            [("base", &base[..]), ("btrfs", &btrfs), ("main", &main)]
        );
    }

    #[test]
    fn a_portable_service_is_a_whole_system_and_a_confext_is_not() {
        let confext = EXTENSION.replace("sysext", "confext");
        let recipes = recipes(
            "[Output]\nFormat=portable\nOutputDirectory=out\n",
            &[("base", BASE), ("conf", &confext)],
        );
        let plans = plan(&recipes).unwrap();
        use Step::*;
        assert_eq!(
            plans[1].steps,
            [
                UseBaseTrees,
                InstallPackages,
                TakePayload,
                RemoveFiles,
                MakeExtension,
                Write
            ]
        );
        assert_eq!(
            plans[2].steps,
            [
                Bootstrap,
                CleanSystem,
                CompleteSystem,
                SetUpSystem,
                RemoveFiles,
                MakePortable,
                Write
            ]
        );
    }

    #[test]
    fn a_portable_service_is_no_overlay() {
        let recipes = recipes("[Output]\nFormat=portable\nOverlay=yes\n", &[]);
        let errors = plan(&recipes).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "mkosi.conf:3: the portable service `main` has to be a whole system and is an overlay"
        );
    }

    #[test]
    fn an_image_without_format_has_no_steps() {
        let recipes = recipes("[Output]\nFormat=none\n", &[("base", BASE)]);
        assert!(plan(&recipes).unwrap()[1].steps.is_empty());
    }

    #[test]
    fn extensions_that_stand_on_nothing_are_refused_all_at_once() {
        let packages = "[Output]\nFormat=sysext\n[Content]\nPackages=x\n";
        let overlay = "[Output]\nFormat=directory\nOverlay=yes\n";
        let recipes = recipes(
            "[Output]\nFormat=none\n",
            &[("a", packages), ("b", overlay)],
        );
        let errors = plan(&recipes).unwrap_err();
        assert!(matches!(
            &errors[..],
            [
                Error::ExtensionWithoutBase { .. },
                Error::OverlayWithoutBase { .. }
            ]
        ));
        assert_eq!(
            errors[0].to_string(),
            "mkosi.images/a/mkosi.conf:4: the extension `a` has packages but no base tree to install them on"
        );
    }

    #[test]
    fn packages_are_removed_from_the_whole_tree_before_it_is_listed() {
        let packages = "VolatilePackages=a\nRemovePackages=b\n";
        let recipes = recipes(
            "[Output]\nFormat=none\nOutputDirectory=out\n",
            &[
                ("base", BASE),
                (
                    "c",
                    &format!("{EXTENSION}{packages}[Output]\nManifestFormat=json\n"),
                ),
            ],
        );
        let plans = plan(&recipes).unwrap();
        use Step::*;
        let expected = [
            UseBaseTrees,
            InstallPackages,
            InstallVolatilePackages,
            RemovePackages,
            ListPackages,
            TakePayload,
            RemoveFiles,
            MakeExtension,
            Write,
        ];
        assert_eq!(plans[1].steps, expected);
    }

    #[test]
    fn nothing_is_removed_from_an_extension_that_stands_on_nothing() {
        let text = "[Output]\nFormat=sysext\n[Content]\nRemovePackages=b\n";
        let recipes = recipes("[Output]\nFormat=none\n", &[("c", text)]);
        let errors = plan(&recipes).unwrap_err();
        assert!(matches!(&errors[..], [Error::ExtensionWithoutBase { .. }]));
    }
}
