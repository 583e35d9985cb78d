//! The settings of `[Distribution]`.

use super::{Magic, Matcher, Scope, Section, Setting};
use crate::recipe::names::Rule;
use crate::recipe::values::Kind;

/// Every distribution mkosi knows.
pub(super) const DISTRIBUTIONS: &[&str] = &[
    "fedora",
    "debian",
    "kali",
    "ubuntu",
    "postmarketos",
    "arch",
    "opensuse",
    "mageia",
    "centos",
    "rhel",
    "rhel-ubi",
    "openmandriva",
    "rocky",
    "alma",
    "azure",
    "custom",
];

/// Architectures as systemd names them.
const ARCHITECTURES: &[&str] = &[
    "alpha",
    "arc",
    "arm",
    "arm64",
    "ia64",
    "loongarch64",
    "mips64-le",
    "mips-le",
    "parisc",
    "ppc",
    "ppc64",
    "ppc64-le",
    "riscv32",
    "riscv64",
    "s390",
    "s390x",
    "tilegx",
    "x86",
    "x86-64",
];

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        Section::Distribution,
        "Distribution",
        "distribution",
        Kind::Choice(DISTRIBUTIONS),
        "Distribution to install: debian or ubuntu",
    )
    .short('d')
    .scope(Scope::Universal)
    .matched(Matcher::Equal)
    .specifier('d')
    .described("the host's")
    .partly("only debian and ubuntu are built"),
    Setting::new(
        Section::Distribution,
        "Release",
        "release",
        Kind::Text(Rule::Word),
        "Release of the distribution",
    )
    .short('r')
    .scope(Scope::Universal)
    .matched(Matcher::Equal)
    .specifier('r')
    .described("the host's if it has the same distribution"),
    Setting::new(
        Section::Distribution,
        "Architecture",
        "architecture",
        Kind::Choice(ARCHITECTURES),
        "Architecture of the image, as systemd names it (x86-64, arm64, ...)",
    )
    .scope(Scope::Universal)
    .matched(Matcher::Equal)
    .specifier('a')
    .described("the host's")
    .partly("packages are installed for the architecture of this machine alone"),
    Setting::new(
        Section::Distribution,
        "Mirror",
        "mirror",
        Kind::Text(Rule::Url),
        "Base URL of the mirror",
    )
    .short('m')
    .scope(Scope::Universal)
    .described("the distribution's"),
    Setting::new(
        Section::Distribution,
        "Snapshot",
        "snapshot",
        Kind::Text(Rule::Word),
        "Snapshot of the repositories to use",
    )
    .tools()
    .scope(Scope::Universal)
    .magic(&[Magic::Text("mkosi.snapshot")]),
    Setting::new(
        Section::Distribution,
        "LocalMirror",
        "local-mirror",
        Kind::Text(Rule::Url),
        "The only repository to use while building",
    )
    .tools()
    .scope(Scope::Universal),
    Setting::new(
        Section::Distribution,
        "RepositoryKeyCheck",
        "repository-key-check",
        Kind::Boolean,
        "Check the signatures of repositories",
    )
    .scope(Scope::Multiversal)
    .default("yes"),
    Setting::new(
        Section::Distribution,
        "RepositoryKeyFetch",
        "repository-key-fetch",
        Kind::Boolean,
        "Fetch keys of repositories over the network",
    )
    .tools()
    .scope(Scope::Universal)
    .described("no, but on Ubuntu yes for distributions of another family")
    .unsupported("keys are never fetched over the network", &["no"]),
    Setting::new(
        Section::Distribution,
        "Repositories",
        "repositories",
        Kind::List(Rule::Word),
        "More components or repositories to enable",
    )
    .tools()
    .scope(Scope::Universal)
    .matched(Matcher::Member),
];
