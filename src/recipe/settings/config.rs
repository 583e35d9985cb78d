//! The settings of `[Include]` and `[Config]`.

use super::{Magic, Matcher, Scope, Section, Setting};
use crate::recipe::names::Rule;
use crate::recipe::values::{Kind, PathRule};

/// The configuration that comes with mkosi, by name.
const BUILTIN_INCLUDES: &[&str] = &[
    "mkosi-initrd",
    "mkosi-tools",
    "mkosi-vm",
    "mkosi-addon",
    "mkosi-obs",
];

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        Section::Include,
        "Include",
        "include",
        Kind::Paths(PathRule {
            words: BUILTIN_INCLUDES,
            ..PathRule::ANY
        }),
        "Read another file or directory of configuration at this place",
    )
    .tools()
    .short('I'),
    Setting::new(
        Section::Config,
        "Profiles",
        "profile",
        Kind::List(Rule::Profile),
        "Read `mkosi.profiles/NAME` or `mkosi.profiles/NAME.conf` as well",
    )
    .tools()
    .scope(Scope::Inherit)
    .matched(Matcher::Member),
    Setting::new(
        Section::Config,
        "Dependencies",
        "dependency",
        Kind::List(Rule::Any),
        "Images to build before this one",
    )
    .described("the main image: all subimages"),
    Setting::new(
        Section::Config,
        "MinimumVersion",
        "minimum-version",
        Kind::MinimumVersion,
        "The mkosi version the recipe was written for",
    )
    .scope(Scope::Main)
    .no_effect("it names a version of mkosi"),
    Setting::new(
        Section::Config,
        "ConfigureScripts",
        "configure-script",
        Kind::Scripts,
        "Programs that rewrite the configuration",
    )
    .magic(&[Magic::Path("mkosi.configure")])
    .unsupported(
        "a recipe is read without running its programs, but for those that print a value",
        &[],
    ),
    Setting::new(
        Section::Config,
        "PassEnvironment",
        "pass-environment",
        Kind::SpacedList,
        "Names of variables of `Environment=` that subimages get too",
    )
    .scope(Scope::Main),
];
