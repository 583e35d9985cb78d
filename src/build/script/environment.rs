//! The variables that a script is given.

use super::super::Builder;
use super::super::policy::{ARTIFACTS, BUILD, DESTINATION, OUTPUT, PACKAGES};
use super::{Kind, helpers};
use crate::recipe::Recipe;

/// Where a script finds the settings of its image as JSON.
pub(super) const CONFIGURATION: &str = "/work/config.json";

/// Returns the variables in the order in which they are set, the recipe's own last, which may be others of ours.
///
/// The ids are those of the sandbox, where the files of who builds belong to root; the real ones are nobody's business.
pub(super) fn variables(
    builder: &Builder<'_>,
    kind: Kind,
    recipe: &Recipe,
    epoch_seconds: u64,
) -> Vec<(String, String)> {
    let scripts = &recipe.scripts;
    let flag = |flag: bool| if flag { "1" } else { "0" }.to_owned();
    let epoch = recipe.source_date_epoch.unwrap_or(epoch_seconds);
    let mut variables = vec![
        ("PATH", format!("{}:{}", helpers::DIRECTORY, helpers::PATH)),
        (
            "ARCHITECTURE",
            recipe.architecture.systemd_name().to_owned(),
        ),
        ("DISTRIBUTION", recipe.distribution.name().to_owned()),
        ("RELEASE", recipe.release.clone()),
        ("MKOSI_UID", "0".to_owned()),
        ("MKOSI_GID", "0".to_owned()),
        ("MKOSI_CONFIG", CONFIGURATION.to_owned()),
        ("MKOSI_DEBUG", flag(builder.debug)),
        ("SOURCE_DATE_EPOCH", epoch.to_string()),
    ];
    if let Some(name) = recipe.architecture.debian_name() {
        variables.push(("DISTRIBUTION_ARCHITECTURE", name.to_owned()));
    }
    if let Some(name) = recipe.architecture.efi_name() {
        variables.push(("EFI_ARCHITECTURE", name.to_owned()));
    }
    if !scripts.profiles.is_empty() {
        variables.push(("PROFILES", scripts.profiles.join(" ")));
    }
    if !recipe.is_main {
        variables.push(("SUBIMAGE", recipe.name.clone()));
    }
    let named = [
        ("IMAGE_ID", &recipe.image_id),
        ("IMAGE_VERSION", &recipe.image_version),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            variables.push((name, value.clone()));
        }
    }
    let directory = |name: &'static str, path: &str| (name, path.to_owned());
    if kind.has_image() {
        variables.extend([
            directory("PACKAGEDIR", PACKAGES),
            directory("ARTIFACTDIR", ARTIFACTS),
            ("WITH_NETWORK", flag(scripts.with_network)),
        ]);
    }
    if matches!(kind, Kind::Prepare | Kind::PrepareBuild | Kind::Build) {
        variables.extend([
            ("WITH_DOCS", flag(recipe.with_docs)),
            ("WITH_TESTS", flag(scripts.with_tests)),
        ]);
    }
    if kind == Kind::Build {
        variables.push(directory("DESTDIR", DESTINATION));
    }
    let has_build_directory = matches!(kind, Kind::Build | Kind::PostInstall | Kind::Finalize);
    if has_build_directory && scripts.build_directory.is_some() {
        variables.push(directory("BUILDDIR", BUILD));
    }
    let has_output = matches!(
        kind,
        Kind::PostInstall | Kind::Finalize | Kind::PostOutput | Kind::Clean
    );
    if has_output {
        variables.push(directory("OUTPUTDIR", OUTPUT));
    }
    let own = { recipe.environment.iter() }.map(|(name, value)| (name.clone(), value.clone()));
    let ours = variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    ours.chain(own).collect()
}

/// What a script that has the image as its root sees differently.
pub(super) const INSIDE: [(&str, &str); 4] = [
    ("container", "mkosi"),
    ("HOME", "/"),
    ("PATH", "/usr/bin:/usr/sbin"),
    ("BUILDROOT", "/"),
];
