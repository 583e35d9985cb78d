//! From a directory and a command line to the recipes of all images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::assign;
use super::assisting::{self, Assistants, wants_initrd};
use super::bounds::Bounds;
use super::configured::ConfiguredImage;
use super::discovery::{Extent, Reader};
use super::error::{RecipeError, RecipeErrors};
use super::findings::{Findings, Note};
use super::grants::Grants;
use super::graph::{self, Dependency};
use super::image::{DEFAULT_INITRD, Image, MAIN, Surroundings, TOOLS};
use super::magic::Names;
use super::names;
use super::nearest::nearest;
use super::origin::Origin;
use super::passing;
use super::program::{ConfigurationPrograms, Programs};
use super::real::RealPaths;
use super::resolve;
use super::resolved::{Format, Recipe};
use super::scope::Layers;
use super::settings;
use super::target::HostFacts;
use super::unused;

/// What a person asked for.
#[derive(Clone, Debug)]
pub struct Invocation<'a> {
    /// The directory with the recipe. Empty, it is the working directory, of which nothing is read.
    pub directory: PathBuf,
    /// The settings on the command line, in order.
    pub overrides: Vec<Override>,
    /// The environment; only `SOURCE_DATE_EPOCH` and variables that were granted are looked at.
    pub environment: BTreeMap<String, String>,
    pub host: HostFacts,
    /// What the person lets the recipe have besides its directory.
    pub grants: Grants,
    /// Who runs configuration files that are executable.
    pub programs: &'a dyn ConfigurationPrograms,
}

impl Invocation<'_> {
    fn reads_files(&self) -> bool {
        !self.directory.as_os_str().is_empty()
    }
}

/// A setting on the command line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Override {
    /// The setting's name, such as `Format`.
    pub setting: String,
    pub value: String,
    /// The option as typed, such as `--format` or `-t`.
    pub option: String,
}

/// What a directory is configured to become.
#[derive(Debug)]
pub struct Project {
    /// Every image to build, each after the ones it depends on; the main image is last.
    pub images: Vec<ConfiguredImage>,
    /// The image that the programs of a build would be taken from.
    pub tools: Option<ConfiguredImage>,
    /// The images of the directory as they are built; none when something is refused.
    pub recipes: Vec<Recipe>,
    /// What keeps the images from being built.
    pub refusals: Vec<RecipeError>,
    /// What a person should look at, but stops nothing.
    pub warnings: Vec<RecipeError>,
    pub notes: Vec<Note>,
    /// The directory with the recipe, absolute and without symbolic links.
    pub directory: PathBuf,
}

impl Project {
    /// Returns all that is configured: the tools tree if there is one, and the images.
    pub fn configured(&self) -> impl Iterator<Item = &ConfiguredImage> {
        self.tools.iter().chain(&self.images)
    }

    /// Returns the project if all of its images can be built.
    ///
    /// # Errors
    /// [`RecipeErrors`] with everything that is refused.
    pub fn buildable(self) -> Result<Self, RecipeErrors> {
        if self.refusals.is_empty() {
            Ok(self)
        } else {
            Err(RecipeErrors::new(self.refusals, self.warnings))
        }
    }

    /// Returns the project if there is nothing to warn of.
    ///
    /// # Errors
    /// [`RecipeErrors`] with every warning, and with what is refused beside them.
    pub fn strict(self) -> Result<Self, RecipeErrors> {
        if self.warnings.is_empty() {
            Ok(self)
        } else {
            Err(RecipeErrors::new(self.warnings, self.refusals))
        }
    }
}

/// Reads the recipe in a directory.
///
/// # Errors
/// [`RecipeErrors`] with every mistake in the recipe and the command line.
pub fn load(invocation: &Invocation<'_>) -> Result<Project, RecipeErrors> {
    let directory = match invocation.reads_files() {
        true => &invocation.directory,
        false => Path::new("."),
    };
    let root = fs_err::canonicalize(directory).map_err(|source| {
        let directory = invocation.directory.clone();
        RecipeErrors::from(match source.kind() {
            std::io::ErrorKind::NotFound => RecipeError::NoDirectory { directory },
            _ => RecipeError::ReadDirectory { directory, source },
        })
    })?;
    if !root.is_dir() {
        let directory = invocation.directory.clone();
        return Err(RecipeErrors::from(RecipeError::NotDirectory { directory }));
    }
    let mut around = Surroundings {
        directory: configuration_directory(&root),
        root,
        has_sources: invocation.reads_files(),
        host: invocation.host.clone(),
        bounds: Bounds::default(),
        real: RealPaths::default(),
        grants: invocation.grants.clone(),
        environment: invocation.environment.clone(),
    };
    let mut private = BTreeSet::new();
    for _ in 0..MAX_READINGS {
        around.bounds = Bounds::default();
        around.real = RealPaths::default();
        let mut programs = Programs::new(invocation.programs, private);
        if around.has_sources {
            // Programs see all of it, also when configuration is read from its `mkosi/` only.
            programs.note_directory(&around.root, &Names::of(&around.root));
        }
        let project = load_once(invocation, &around, &mut programs);
        match programs.seen() {
            Some(seen) => private = seen,
            None => return project,
        }
    }
    Err(RecipeErrors::from(RecipeError::UnsettledPrograms))
}

/// How often a recipe is read: two are enough for programs that print the same each time.
const MAX_READINGS: usize = 4;

/// Reads the recipe, from which nothing is shown to anybody when a program has seen what is private.
fn load_once(
    invocation: &Invocation<'_>,
    around: &Surroundings,
    programs: &mut Programs<'_>,
) -> Result<Project, RecipeErrors> {
    let mut findings = Findings::default();
    let Images {
        built: images,
        tools,
        initrd,
    } = read_images(invocation, around, programs, &mut findings);
    for image in images.iter().chain(&tools).chain(&initrd) {
        programs.note_image(image, around);
    }
    let is_empty = |image: &Image| {
        let layers = &image.layers;
        image.files.is_empty() && layers.files.is_empty() && layers.forced.is_empty()
    };
    let is_configured = images.len() > 1 || !images.iter().all(is_empty) || !findings.is_empty();
    if !is_configured {
        findings.refuse(RecipeError::NoConfiguration {
            directory: invocation.directory.clone(),
        });
    }
    unused::check(&images, around, &mut findings);
    let mut graph = dependencies(&images, around);
    if initrd.is_some() {
        // Before the main image, as mkosi has it.
        let place = graph.len() - 1;
        graph.insert(place, (DEFAULT_INITRD.to_owned(), Vec::new()));
        for image in images.iter().filter(|image| wants_initrd(image, around)) {
            let entry = graph.iter_mut().find(|(name, _)| *name == image.name);
            if let Some((_, dependencies)) = entry {
                dependencies.push((DEFAULT_INITRD.to_owned(), Origin::Default));
            }
        }
    }
    let order = graph::build_order(&graph, &mut findings);
    let graph: BTreeMap<String, Vec<Dependency>> = graph.into_iter().collect();
    let is_needed = |image: &&Image| order.contains(&image.name);
    let built: Vec<&Image> = images.iter().filter(is_needed).collect();
    findings.keep_values(|setting, origin| {
        let values = |image: &&Image| image.layers.get(settings::known(setting));
        { built.iter() }
            .filter_map(values)
            .flatten()
            .any(|sourced| sourced.origin == *origin)
    });
    let mut unheard = Findings::default();
    let initrd_path = initrd
        .as_ref()
        .map(|initrd| assisting::output(initrd, around));
    let mut configured = Vec::new();
    let mut recipes = Vec::new();
    for name in &order {
        let (images, is_built) = match &initrd {
            Some(initrd) if *name == DEFAULT_INITRD => (std::slice::from_ref(initrd), false),
            _ => (images.as_slice(), true),
        };
        let Some(image) = images.iter().find(|image| image.name == *name) else {
            continue;
        };
        let names: Vec<String> = graph[name].iter().map(|(name, _)| name.clone()).collect();
        let own = names.iter().filter(|name| *name != DEFAULT_INITRD);
        // One that has nothing lacks everything, which need not be said.
        let heard = match is_configured && is_built {
            true => &mut findings,
            false => &mut unheard,
        };
        let recipe = resolve::recipe(image, own.cloned().collect(), invocation, around, heard);
        let mut shown = ConfiguredImage::new(&recipe, image.files.clone());
        if let (Some(path), true) = (&initrd_path, wants_initrd(image, around)) {
            shown.start_with(path, DEFAULT_INITRD);
        }
        configured.push(shown.with_overridden(&image.layers));
        if is_built {
            let mut recipe = recipe;
            recipe.scripts.hidden.clone_from(programs.noted());
            recipes.push(recipe);
        }
    }
    let tools = tools.map(|tools| {
        let recipe = resolve::recipe(&tools, Vec::new(), invocation, around, &mut unheard);
        ConfiguredImage::new(&recipe, tools.files.clone()).with_overridden(&tools.layers)
    });
    if is_configured {
        same_outputs(&recipes, &mut findings);
    }
    let settled = findings.settle()?;
    if !settled.refusals.is_empty() {
        recipes.clear();
    }
    Ok(Project {
        images: configured,
        tools,
        recipes,
        refusals: settled.refusals,
        warnings: settled.warnings,
        notes: settled.notes,
        directory: around.root.clone(),
    })
}

/// Returns the directory itself, or its `mkosi/` when only that has a `mkosi.conf`.
fn configuration_directory(root: &Path) -> PathBuf {
    let below = root.join("mkosi");
    let is_here = root.join("mkosi.conf").exists() || root.join("mkosi.tools.conf").exists();
    let is_below = below.join("mkosi.conf").is_file() || below.join("mkosi.tools.conf").exists();
    if !is_here && is_below {
        below
    } else {
        root.to_owned()
    }
}

/// The images of a directory.
#[derive(Debug)]
struct Images {
    /// The subimages by their names, then the main image.
    built: Vec<Image>,
    tools: Option<Image>,
    initrd: Option<Image>,
}

/// Reads the main image, then its subimages, which start with what the main image passes on.
fn read_images(
    invocation: &Invocation<'_>,
    around: &Surroundings,
    programs: &mut Programs<'_>,
    findings: &mut Findings,
) -> Images {
    let mut found_profiles = BTreeSet::new();
    let main = Image::new(MAIN.to_owned(), Layers::default());
    let mut reader = Reader::new(around, main, findings, &mut found_profiles, programs);
    command_line(invocation, &mut reader);
    if !invocation.reads_files() {
        return Images {
            built: vec![reader.image],
            tools: None,
            initrd: None,
        };
    }
    // What is typed is not of the directory.
    reader.image.files.clear();
    reader.directory(&around.directory, Extent::Image);
    let entries = reader.entries(&around.directory.join("mkosi.images"));
    let mut main = reader.image;
    let mut assistants = Assistants {
        around,
        findings,
        found_profiles: &mut found_profiles,
        programs,
    };
    let tools = assistants.tools(&mut main);
    let mut images = Vec::new();
    for path in entries {
        let Some(name) = image_name(&path, around, findings) else {
            continue;
        };
        let mut image = Image::new(name, passing::to_subimage(&main, around));
        image.included.clone_from(&main.included);
        let mut reader = Reader::new(around, image, findings, &mut found_profiles, programs);
        let matches = if path.is_dir() {
            reader.directory(&path, Extent::Image)
        } else {
            reader.file(&path, &around.root)
        };
        if matches {
            images.push(reader.image);
        }
    }
    let mut assistants = Assistants {
        around,
        findings,
        found_profiles: &mut found_profiles,
        programs,
    };
    let initrd = assistants.initrd(&main, &images);
    images.push(main);
    missing_profiles(&images, &found_profiles, around, findings);
    Images {
        built: images,
        tools,
        initrd,
    }
}

/// Applies the command line; what it includes is read before any file of the directory.
fn command_line(invocation: &Invocation<'_>, reader: &mut Reader<'_, '_>) {
    let directory = reader.around.root.clone();
    for given in &invocation.overrides {
        let origin = Origin::CommandLine {
            option: given.option.clone(),
        };
        let Some(setting) = settings::named(&given.setting) else {
            reader.findings.error(RecipeError::UnknownSetting {
                origin,
                name: given.setting.clone(),
                section: "command line".to_owned(),
                nearest: settings::nearest_setting(&given.setting).map(|setting| setting.name),
            });
            continue;
        };
        // A person has a shell to write values with.
        let text = given.value.replace('%', "%%");
        let values = assign::value(
            setting,
            &text,
            &origin,
            &reader.image,
            reader.around,
            &directory,
            reader.findings,
        );
        match values {
            Some(values) if setting.name == "Include" => {
                reader.include(values, &origin, &directory)
            }
            Some(values) => reader.image.layers.forced.assign(setting, values, &origin),
            None => {}
        }
    }
    reader.read_included(&directory);
}

/// Names of images that are not in `mkosi.images/`.
const RESERVED: [&str; 3] = [MAIN, TOOLS, DEFAULT_INITRD];

/// Returns the name of the image that an entry of `mkosi.images/` describes; `None` for other files.
fn image_name(path: &Path, around: &Surroundings, findings: &mut Findings) -> Option<String> {
    let entry = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = entry.strip_suffix(".conf");
    if stem.is_none() && !path.is_dir() {
        return None;
    }
    let name = stem.unwrap_or(&entry).to_owned();
    let wrong = || RecipeError::ImageName {
        origin: Origin::Magic {
            path: around.shown(path),
        },
        name: name.clone(),
    };
    // A file that is called `.conf` has no ending.
    if name.is_empty() && !path.is_dir() {
        return None;
    }
    if name.is_empty() || RESERVED.contains(&name.as_str()) {
        findings.error(wrong());
        return None;
    }
    if !names::is_file_name(&name) {
        findings.refuse(wrong());
    }
    Some(name)
}

/// Returns what each image depends on; the main image depends on all others unless it says something else.
fn dependencies(images: &[Image], around: &Surroundings) -> Vec<(String, Vec<Dependency>)> {
    let setting = settings::known("Dependencies");
    images
        .iter()
        .map(|image| {
            let named = image.get(setting, around).map(|values| {
                values
                    .into_iter()
                    .map(|sourced| (sourced.value.to_string(), sourced.origin))
                    .collect()
            });
            let all = || {
                let others = images.iter().filter(|other| !other.is_main());
                others
                    .map(|other| (other.name.clone(), Origin::Default))
                    .collect()
            };
            let dependencies = match named {
                Some(named) => named,
                None if image.is_main() => all(),
                None => Vec::new(),
            };
            (image.name.clone(), dependencies)
        })
        .collect()
}

fn missing_profiles(
    images: &[Image],
    found: &BTreeSet<String>,
    around: &Surroundings,
    findings: &mut Findings,
) {
    let Some(main) = images.last() else { return };
    for profile in main
        .get(settings::known("Profiles"), around)
        .unwrap_or_default()
    {
        let name = profile.value.to_string();
        if found.contains(&name) {
            continue;
        }
        let there: Vec<String> = fs_err::read_dir(around.directory.join("mkosi.profiles"))
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                Some(
                    entry
                        .ok()?
                        .path()
                        .file_stem()?
                        .to_string_lossy()
                        .into_owned(),
                )
            })
            .collect();
        findings.warn(RecipeError::MissingProfile {
            origin: profile.origin,
            nearest: nearest(&name, there.iter().map(String::as_str)).map(str::to_owned),
            name,
        });
    }
}

fn same_outputs(recipes: &[Recipe], findings: &mut Findings) {
    for (index, recipe) in recipes.iter().enumerate() {
        let names = written_names(recipe);
        let same = recipes[..index].iter().find_map(|other| {
            let is_beside = other.output_directory == recipe.output_directory;
            let others = written_names(other);
            let name = names
                .iter()
                .find(|name| is_beside && others.contains(name))?;
            Some((other, name.clone()))
        });
        if let Some((other, output)) = same {
            findings.refuse(RecipeError::SameOutput {
                first: other.name.clone(),
                second: recipe.name.clone(),
                output,
            });
        }
    }
}

/// Returns the names that an image takes in its output directory.
fn written_names(recipe: &Recipe) -> Vec<String> {
    if recipe.format == Format::None {
        return Vec::new();
    }
    let link = recipe.output_link_name().map(str::to_owned);
    std::iter::once(recipe.output_file_name())
        .chain(link)
        .chain(recipe.artifact_names())
        .chain(recipe.definitions_name())
        .collect()
}
