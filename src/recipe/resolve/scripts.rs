//! Scripts and what they are given, from the settings of `[Content]` and `[Build]`.

use super::super::delayed::expand_key;
use super::super::resolved::{Script, Scripts, SourceChanges};
use super::super::values::{TreeSource, Value};
use super::Resolver;

impl Resolver<'_> {
    pub(super) fn all_scripts(&self) -> Scripts {
        let changes = match self.text("BuildSourcesEphemeral").as_deref() {
            Some("buildcache") => SourceChanges::InBuildDirectory,
            _ => SourceChanges::Discarded,
        };
        Scripts {
            sync: self.scripts("SyncScripts"),
            prepare: self.scripts("PrepareScripts"),
            build: self.scripts("BuildScripts"),
            postinst: self.scripts("PostInstallationScripts"),
            finalize: self.scripts("FinalizeScripts"),
            postoutput: self.scripts("PostOutputScripts"),
            clean: self.scripts("CleanScripts"),
            sources: self.build_sources(),
            source_changes: changes,
            build_directory: self.build_directory(),
            // Of all images, so that it is filled in when all are known.
            hidden: Default::default(),
            profiles: self.texts("Profiles"),
            with_tests: self.boolean("WithTests", true),
            with_network: self.boolean("WithNetwork", false),
            make_executable: self.boolean("MakeScriptsExecutable", false),
        }
    }

    fn scripts(&self, name: &str) -> Vec<Script> {
        let script = |sourced: super::Sourced| match sourced.value {
            Value::Path(path) => Some(Script {
                shown: self.around.shown(&path),
                origin: sourced.origin.to_string(),
                path,
            }),
            _ => None,
        };
        self.all(name).into_iter().filter_map(script).collect()
    }

    /// Returns the sources, those above others first.
    fn build_sources(&self) -> Vec<TreeSource> {
        let mut sources = self.trees("BuildSources");
        sources.sort_by(|a, b| a.target.cmp(&b.target));
        sources
    }

    fn build_directory(&self) -> Option<std::path::PathBuf> {
        let directory = self.path("BuildDirectory")?;
        let key = expand_key(&self.text("BuildKey")?, |letter| match letter {
            'd' => self.text("Distribution"),
            'r' => self.text("Release"),
            'a' => self.text("Architecture"),
            'i' => self.text("ImageId"),
            'v' => self.text("ImageVersion"),
            'I' => Some(self.image.name.clone()),
            _ => None,
        });
        Some(match key.as_str() {
            "-" => directory,
            key => directory.join(key),
        })
    }
}
