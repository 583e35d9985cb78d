//! The images that others are built with or from: the tools tree and the default initrd.
//!
//! They are configured and shown; nothing builds them yet, so what they ask for refuses nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::builtin;
use super::discovery::{Extent, Reader};
use super::findings::Findings;
use super::image::{DEFAULT_INITRD, Image, Surroundings, TOOLS};
use super::origin::Origin;
use super::passing;
use super::program::Programs;
use super::scope::Layers;
use super::settings;
use super::values::Value;

/// Reads images that are built for others.
#[derive(Debug)]
pub(super) struct Assistants<'a, 'p> {
    pub(super) around: &'a Surroundings,
    pub(super) findings: &'a mut Findings,
    pub(super) found_profiles: &'a mut BTreeSet<String>,
    pub(super) programs: &'a mut Programs<'p>,
}

impl Assistants<'_, '_> {
    /// Reads the tools tree if the main image wants one, and has the main image name it.
    pub(super) fn tools(&mut self, main: &mut Image) -> Option<Image> {
        let setting = settings::known("ToolsTree");
        let wanted = main.one("ToolsTree", self.around)?;
        if !matches!(wanted.value.to_string().as_str(), "default" | "yes") {
            return None;
        }
        let mut layers = passing::to_tools(main, self.around);
        let directory = vec![Value::Text("directory".to_owned())];
        let format = settings::known("Format");
        layers.forced.assign(format, directory, &Origin::Default);
        let tools = self.image(TOOLS, layers, "mkosi.tools.conf", "mkosi-tools", main);
        let path = output(&tools, self.around);
        // Whatever the command line says: it said which.
        main.layers
            .forced
            .assign(setting, vec![Value::Path(path)], &wanted.origin);
        Some(tools)
    }

    /// Reads the default initrd if an image wants it. `main` is the main image as its files have it.
    pub(super) fn initrd(&mut self, main: &Image, subimages: &[Image]) -> Option<Image> {
        let mut images = subimages.iter().chain([main]);
        if !images.any(|image| wants_initrd(image, self.around)) {
            return None;
        }
        let layers = passing::to_initrd(main, self.around);
        Some(self.image(
            DEFAULT_INITRD,
            layers,
            "mkosi.initrd.conf",
            "mkosi-initrd",
            main,
        ))
    }

    /// Reads an image: what the directory says of it, then what the program does.
    fn image(
        &mut self,
        name: &str,
        layers: Layers,
        file: &str,
        builtin: &str,
        main: &Image,
    ) -> Image {
        let mut image = Image::new(name.to_owned(), layers);
        image.included.clone_from(&main.included);
        let mut found = Findings::default();
        let mut reader = Reader::new(
            self.around,
            image,
            &mut found,
            self.found_profiles,
            self.programs,
        );
        let path = self.around.directory.join(file);
        let everything = Extent::Image;
        if path.is_dir() {
            reader.directory(&path, everything);
        } else if path.exists() {
            reader.file(&path, &self.around.root);
        }
        if let Some(builtin) = builtin::named(builtin) {
            reader.builtin(builtin, &self.around.root);
        }
        let image = reader.image;
        self.findings.take_over(found);
        image
    }
}

/// Returns whether an image starts with the default initrd.
pub(super) fn wants_initrd(image: &Image, around: &Surroundings) -> bool {
    let initrds = image.get(settings::known("Initrds"), around);
    let mut initrds = initrds.unwrap_or_default().into_iter();
    initrds.any(|sourced| sourced.value == Value::Text("default".to_owned()))
}

/// Returns where the output of an image is, without what its format adds.
pub(super) fn output(image: &Image, around: &Surroundings) -> PathBuf {
    let directory = match image.one("OutputDirectory", around).map(|of| of.value) {
        Some(Value::Path(directory)) => directory,
        _ => around.root.clone(),
    };
    directory.join(Path::new(&image.text("Output", around).unwrap_or_default()))
}
