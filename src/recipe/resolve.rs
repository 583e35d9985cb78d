//! From the values an image was given to its typed recipe.

mod disk;
mod extension;
mod file_system;
mod labels;
mod output;
mod outputs;
mod packages;
mod scripts;
mod system;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::RecipeError;
use super::findings::Findings;
use super::image::{Image, Surroundings};
use super::origin::Origin;
use super::outside;
use super::project::Invocation;
use super::resolved::{CacheOnly, Format, Recipe};
use super::scope::Sourced;
use super::settings;
use super::target::{Architecture, Distribution};
use super::values::{Feature, TreeSource, Value};

/// Types the settings of an image, and refuses what cannot be built.
pub(super) fn recipe(
    image: &Image,
    dependencies: Vec<String>,
    invocation: &Invocation<'_>,
    around: &Surroundings,
    findings: &mut Findings,
) -> Recipe {
    let settings = Resolver { image, around };
    let environment = settings.environment(findings);
    let format = settings.format(findings);
    let distribution = settings.distribution(findings);
    let release = settings.release(findings);
    let architecture = settings.architecture(distribution, findings);
    let payload = settings.payload(
        format,
        distribution.unwrap_or(Distribution::Custom),
        release.as_deref().unwrap_or_default(),
        findings,
    );
    let compress_output = settings.compression(format, findings);
    let split_artifacts = settings.split_artifacts(format, findings);
    let target = disk::Target {
        format,
        architecture,
        distribution: distribution.unwrap_or(Distribution::Custom),
        release: release.as_deref().unwrap_or_default(),
        payload,
    };
    let definitions = settings.definitions(&target, findings);
    settings.check_split_names(&definitions, &split_artifacts, findings);
    settings.check_signatures(format, &definitions, findings);
    let recipe = Recipe {
        name: image.name.clone(),
        is_main: image.is_main(),
        output: settings.text("Output").unwrap_or_default(),
        output_directory: settings
            .path("OutputDirectory")
            .unwrap_or_else(|| around.directory.clone()),
        output_extension: settings.text("OutputExtension"),
        output_mode: settings.mode("OutputMode"),
        cache_directory: settings.path("CacheDirectory"),
        package_cache_directory: settings.path("PackageCacheDirectory"),
        distribution: distribution.unwrap_or(Distribution::Custom),
        release: release.unwrap_or_default(),
        architecture,
        mirror: settings.text("Mirror"),
        local_mirror: settings.text("LocalMirror"),
        repositories: settings.texts("Repositories"),
        repository_key_check: settings.boolean("RepositoryKeyCheck", true),
        format: format.unwrap_or(Format::None),
        manifest: settings.has_manifest("json"),
        overlay: settings.boolean("Overlay", false),
        base_trees: settings.paths("BaseTrees"),
        skeleton_trees: settings.trees("SkeletonTrees"),
        extra_trees: settings.trees("ExtraTrees"),
        packages: settings.packages("Packages"),
        package_sources: settings.package_sources(findings),
        scripts: settings.all_scripts(),
        with_recommends: settings.boolean("WithRecommends", false),
        with_docs: settings.boolean("WithDocs", true),
        remove_files: settings.texts("RemoveFiles"),
        clean_package_metadata: settings.feature("CleanPackageMetadata"),
        source_date_epoch: settings.source_date_epoch(&environment, invocation, findings),
        make_initrd: settings.boolean("MakeInitrd", false),
        system: settings.system(findings),
        compress_output,
        compress_level: settings.compress_level(compress_output, findings),
        sector_size: settings.sector_size(),
        payload,
        extension: settings.extension(format, findings),
        labels: settings.selinux_labels(format, findings),
        split_artifacts,
        definitions,
        verity: settings.verity(),
        verity_key: settings.key("VerityKey"),
        verity_certificate: settings.key("VerityCertificate"),
        seed: settings.seed(findings),
        image_id: settings.text("ImageId"),
        image_version: settings.text("ImageVersion"),
        checksum: settings.boolean("Checksum", false),
        outputs: settings.outputs(architecture, format, findings),
        cache_only: settings.cache_only(),
        dependencies,
        environment,
        values: settings.values(),
    };
    settings.check_network(findings);
    settings.check_mirrors(findings);
    outside::check(&recipe, image, around, findings);
    recipe
}

/// Reads the settings of one image.
struct Resolver<'a> {
    image: &'a Image,
    around: &'a Surroundings,
}

impl Resolver<'_> {
    fn all(&self, name: &str) -> Vec<Sourced> {
        self.image
            .get(settings::known(name), self.around)
            .unwrap_or_default()
    }

    fn one(&self, name: &str) -> Option<Sourced> {
        self.image.one(name, self.around)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.image.text(name, self.around)
    }

    fn texts(&self, name: &str) -> Vec<String> {
        self.all(name)
            .into_iter()
            .map(|sourced| sourced.value.to_string())
            .collect()
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.paths(name).pop()
    }

    fn paths(&self, name: &str) -> Vec<PathBuf> {
        self.all(name)
            .into_iter()
            .filter_map(|sourced| match sourced.value {
                Value::Path(path) => Some(path),
                _ => None,
            })
            .collect()
    }

    /// Returns the file of a key or certificate, which may not be there.
    fn key(&self, name: &str) -> Option<PathBuf> {
        outside::key_path(&self.one(name)?.value, self.around)
    }

    fn trees(&self, name: &str) -> Vec<TreeSource> {
        self.all(name)
            .into_iter()
            .filter_map(|sourced| match sourced.value {
                Value::Tree(tree) => Some(tree),
                _ => None,
            })
            .collect()
    }

    fn boolean(&self, name: &str, default: bool) -> bool {
        match self.one(name).map(|sourced| sourced.value) {
            Some(Value::Boolean(value)) => value,
            _ => default,
        }
    }

    fn feature(&self, name: &str) -> Feature {
        match self.one(name).map(|sourced| sourced.value) {
            Some(Value::Feature(value)) => value,
            _ => Feature::Auto,
        }
    }

    fn mode(&self, name: &str) -> Option<u32> {
        match self.one(name)?.value {
            Value::Mode(mode) => Some(mode),
            _ => None,
        }
    }

    fn distribution(&self, findings: &mut Findings) -> Option<Distribution> {
        let sourced = self.one("Distribution")?;
        let distribution = Distribution::named(&sourced.value.to_string())?;
        if distribution.is_buildable() {
            return Some(distribution);
        }
        findings.refuse(if sourced.origin == Origin::Default {
            self.unset("Distribution")
        } else {
            unsupported(
                "Distribution",
                sourced,
                "only `debian` and `ubuntu` are built so far",
            )
        });
        None
    }

    fn release(&self, findings: &mut Findings) -> Option<String> {
        let release = self.text("Release").filter(|release| !release.is_empty());
        // Without a distribution there is no release, and that was said already.
        let is_known = self.one("Distribution").is_some_and(|sourced| {
            Distribution::named(&sourced.value.to_string()).is_some_and(Distribution::is_buildable)
        });
        if release.is_none() && is_known {
            findings.refuse(self.unset("Release"));
        }
        release
    }

    fn architecture(
        &self,
        distribution: Option<Distribution>,
        findings: &mut Findings,
    ) -> Architecture {
        let host = self.around.host.architecture;
        let Some(sourced) = self.one("Architecture") else {
            return host;
        };
        let architecture = Architecture::named(&sourced.value.to_string()).unwrap_or(host);
        if distribution.is_some() && architecture.debian_name().is_none() {
            findings.refuse(unsupported(
                "Architecture",
                sourced,
                "the distribution does not have it",
            ));
        }
        architecture
    }

    fn unset(&self, name: &'static str) -> RecipeError {
        RecipeError::Unset {
            setting: name,
            image: self.image.name.clone(),
            option: settings::known(name).long,
        }
    }

    fn cache_only(&self) -> CacheOnly {
        match self.text("CacheOnly").as_deref() {
            Some("always") => CacheOnly::Always,
            Some("metadata") => CacheOnly::Metadata,
            Some("never") => CacheOnly::Never,
            _ => CacheOnly::Auto,
        }
    }

    fn source_date_epoch(
        &self,
        environment: &BTreeMap<String, String>,
        invocation: &Invocation<'_>,
        findings: &mut Findings,
    ) -> Option<u64> {
        const VARIABLE: &str = "SOURCE_DATE_EPOCH";
        let setting = settings::known("SourceDateEpoch");
        match self
            .image
            .get(setting, self.around)
            .map(|mut values| values.pop())
        {
            Some(Some(sourced)) => {
                return match sourced.value {
                    Value::Number(seconds) => u64::try_from(seconds).ok(),
                    _ => None,
                };
            }
            // An empty assignment.
            Some(None) => return None,
            None => {}
        }
        let outer = Origin::Environment {
            variable: VARIABLE.to_owned(),
        };
        let (text, origin) = match environment.get(VARIABLE) {
            Some(text) => (
                text,
                self.one("Environment")
                    .map_or(outer, |sourced| sourced.origin),
            ),
            None => (invocation.environment.get(VARIABLE)?, outer),
        };
        let seconds = text.parse().ok();
        if seconds.is_none() {
            findings.error(RecipeError::Value {
                origin,
                setting: VARIABLE.to_owned(),
                value: text.clone(),
                expected: "seconds since 1970".to_owned(),
                nearest: None,
            });
        }
        seconds
    }

    /// Returns the variables of `EnvironmentFiles=` and `Environment=`; the latter win.
    fn environment(&self, findings: &mut Findings) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        for file in self.all("EnvironmentFiles") {
            if let Value::Path(path) = &file.value
                && outside::permits(path, &file.origin, self.image, self.around)
            {
                match environment_text(path, self.around) {
                    Ok(text) => environment.extend(environment_file(&text)),
                    // mkosi reads it only when it builds.
                    Err(source) => findings.refuse(RecipeError::Read {
                        path: self.around.shown(path),
                        source,
                    }),
                }
            }
        }
        for sourced in self.all("Environment") {
            let Value::Variable { name, value } = sourced.value else {
                continue;
            };
            if let Some(value) = value {
                environment.insert(name, value);
                continue;
            }
            // It was not granted, or it would have got its value when it was read.
            let origin = sourced.origin;
            findings.refuse(RecipeError::CallersVariable { origin, name });
        }
        environment
    }

    /// Reports a wish for the network that nobody granted. No step that runs code of a recipe has it yet, but one that
    /// counts on it must not fail half-way.
    fn check_network(&self, findings: &mut Findings) {
        const SETTING: &str = "WithNetwork";
        let wish = self
            .one(SETTING)
            .filter(|sourced| sourced.value == Value::Boolean(true));
        if let Some(Sourced { origin, .. }) = wish
            && !origin.is_personal()
            && !self.around.grants.network()
        {
            let setting = SETTING;
            findings.refuse(RecipeError::NetworkRequest { origin, setting });
        }
    }

    /// Reports repositories that are directories: steps that fetch see nothing of the host that a package could name.
    fn check_mirrors(&self, findings: &mut Findings) {
        for setting in ["Mirror", "LocalMirror"] {
            let mirror = self.one(setting);
            if let Some(sourced) =
                mirror.filter(|sourced| sourced.value.to_string().starts_with("file:"))
            {
                let reason = "repositories in directories are not read yet";
                findings.refuse(unsupported(setting, sourced, reason));
            }
        }
    }

    fn values(&self) -> BTreeMap<&'static str, Vec<Sourced>> {
        settings::all()
            .filter(|setting| !setting.is_alias())
            .filter_map(|setting| Some((setting.name, self.image.get(setting, self.around)?)))
            .collect()
    }
}

fn unsupported(setting: &'static str, sourced: Sourced, reason: &str) -> RecipeError {
    RecipeError::Unsupported {
        origin: sourced.origin,
        setting,
        value: sourced.value.to_string(),
        reason: reason.to_owned(),
    }
}

/// Reads a file that [`outside::permits`] has let pass: a link that took a name's place since then is not followed.
fn environment_text(path: &Path, around: &Surroundings) -> std::io::Result<String> {
    let real = fs_err::canonicalize(path)?;
    String::from_utf8(around.bounds.read(&real)?)
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}

/// Reads `NAME=VALUE` lines; other lines and comments are skipped, as mkosi does.
fn environment_file(text: &str) -> impl Iterator<Item = (String, String)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| {
            (
                name.trim().to_owned(),
                value.trim().trim_matches(['"', '\'']).to_owned(),
            )
        })
}
