//! The settings of `[Include]` and `[Config]`.

use super::{Magic, Matcher, Scope, Section, Setting};
use crate::recipe::names::Rule;
use crate::recipe::values::Kind;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        Section::Include,
        "Include",
        "include",
        Kind::Paths,
        "Read another file or directory of configuration at this place",
    )
    .short('I'),
    Setting::new(
        Section::Config,
        "Profiles",
        "profile",
        Kind::List(Rule::FileName),
        "Read `mkosi.profiles/NAME` or `mkosi.profiles/NAME.conf` as well",
    )
    .scope(Scope::Inherit)
    .matched(Matcher::Member),
    Setting::new(
        Section::Config,
        "Dependencies",
        "dependency",
        Kind::List(Rule::FileName),
        "Images to build before this one",
    )
    .default("the main image: all subimages"),
    Setting::new(
        Section::Config,
        "MinimumVersion",
        "minimum-version",
        Kind::Text(Rule::Any),
        "The mkosi version the recipe was written for",
    )
    .scope(Scope::Main)
    .no_effect("it names a version of mkosi"),
    Setting::new(
        Section::Config,
        "ConfigureScripts",
        "configure-script",
        Kind::Paths,
        "Programs that rewrite the configuration",
    )
    .magic(&[Magic::Path("mkosi.configure")])
    .unsupported("scripts are not run yet", &[]),
    Setting::new(
        Section::Config,
        "PassEnvironment",
        "pass-environment",
        Kind::SpacedList,
        "Names of variables of `Environment=` that subimages get too",
    )
    .scope(Scope::Main),
];
