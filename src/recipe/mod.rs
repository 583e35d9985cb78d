//! Configuration files and the command line become one [`Recipe`] an image.
//!
//! This is the first stage. The language is mkosi's; every value keeps its [`Origin`], every mistake is reported, and
//! no process is started: who calls says who runs a recipe's [`ConfigurationPrograms`], confined. The files of the
//! stage, in the order data goes through them:
//!
//! ```text
//! discovery, include, magic (which files) ─ syntax (lines) ─ conditions (for this image?) ─ settings (rows)
//!     ─ specifiers, values (parsing) ─ scope, defaults (what counts) ─ project, assisting (all images)
//!     ─ graph (order) ─ configured (what is shown) ─ resolve (typed recipes)
//! ```
//!
//! What is found on the way stops everything, builds, or nothing: see `findings`.

mod assign;
mod assisting;
mod bounds;
mod builtin;
mod conditions;
mod configured;
mod defaults;
mod delayed;
mod discovery;
mod error;
mod extension;
mod file_system;
mod findings;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod grants;
mod graph;
mod image;
mod include;
mod labels;
mod located;
mod magic;
mod matching;
mod names;
mod nearest;
mod origin;
mod outside;
mod passing;
mod place;
mod program;
mod project;
mod real;
pub(crate) mod repart;
mod resolve;
mod resolved;
mod scope;
pub mod settings;
mod specifiers;
mod syntax;
mod target;
mod unused;
mod values;
mod version;

#[cfg(test)]
mod tests;

pub use self::configured::ConfiguredImage;
pub(crate) use self::delayed::expand_key;
pub(crate) use self::discovery::MAX_FILE_BYTES;
pub(crate) use self::error::in_order_of_lines;
pub use self::error::{RecipeError, RecipeErrors};
pub use self::extension::ExtensionSettings;
pub use self::file_system::{FileCompression, FileSystem, Payload};
pub use self::findings::Note;
pub use self::grants::{Access, Grant, GrantError, GrantProblem, Grants};
pub use self::labels::Labels;
pub use self::located::{Finding, Located};
pub(crate) use self::matching::glob;
pub use self::names::Rule;
pub(crate) use self::nearest::nearest;
pub use self::origin::Origin;
pub use self::outside::Reach;
pub(crate) use self::outside::real_path;
pub use self::place::Place;
pub use self::program::{ConfigurationProgram, ConfigurationPrograms};
pub use self::project::{Invocation, Override, Project, load};
pub(crate) use self::real::RealPaths;
pub use self::repart::{
    CopiedFiles, Definition, Excluded, GRAIN_BYTES, PartitionFormat, PartitionType, VerityPart,
};
pub use self::resolved::{
    CacheOnly, ChecksumSignature, Compression, FileChoice, Format, MachineId, OciLayout, OciOutput,
    Outputs, PackageSources, Recipe, RootPassword, Script, Scripts, SourceChanges, SplitArtifact,
    System, Verity,
};
pub use self::scope::Sourced;
pub use self::syntax::SyntaxProblem;
pub use self::target::{Architecture, Distribution, HostFacts};
pub use self::values::{
    Credential, Drive, Feature, Kind, PathRule, TreeRule, TreeSource, UkiProfile, Value,
};
pub(crate) use self::version::compare as compare_versions;
