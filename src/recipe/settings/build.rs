//! The settings of `[Build]`.

use super::distribution::DISTRIBUTIONS;
use super::{Magic, Matcher, Scope, Section, Setting};
use crate::recipe::names::Rule;
use crate::recipe::values::{Kind, PathRule, TreeRule};

const INCREMENTAL: Kind = Kind::ChoiceOrBoolean {
    choices: &["yes", "no", "strict"],
    yes: "yes",
    no: "no",
};

const CACHE_ONLY: Kind = Kind::ChoiceOrBoolean {
    choices: &["always", "auto", "metadata", "never"],
    yes: "always",
    no: "auto",
};

const EPHEMERAL: Kind = Kind::ChoiceOrBoolean {
    choices: &["yes", "no", "buildcache"],
    yes: "yes",
    no: "no",
};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        Section::Build,
        "ToolsTree",
        "tools-tree",
        Kind::Path(PathRule {
            words: &["default", "yes", "no"],
            ..PathRule::PRESENT
        }),
        "Tree that tools are taken from",
    )
    .scope(Scope::Universal)
    .magic(&[Magic::Path("mkosi.tools")])
    .no_effect("tools are found without a tools tree"),
    Setting::new(
        Section::Build,
        "ToolsTreeDistribution",
        "tools-tree-distribution",
        Kind::Choice(DISTRIBUTIONS),
        "Distribution of the tools tree",
    )
    .described("the host's, or what it is made of")
    .scope(Scope::Tools)
    .matched(Matcher::Equal)
    .no_effect("tools are found without a tools tree"),
    Setting::new(
        Section::Build,
        "ToolsTreeRelease",
        "tools-tree-release",
        Kind::Text(Rule::Any),
        "Release of the tools tree",
    )
    .described("the newest")
    .scope(Scope::Tools)
    .matched(Matcher::Equal)
    .no_effect("tools are found without a tools tree"),
    Setting::new(
        Section::Build,
        "ToolsTreeProfiles",
        "tools-tree-profile",
        Kind::List(Rule::Any),
        "Profiles of the tools tree",
    )
    .described("misc, package-manager, runtime")
    .scope(Scope::Tools)
    .no_effect("tools are found without a tools tree"),
    Setting::new(
        Section::Build,
        "ToolsTreeMirror",
        "tools-tree-mirror",
        Kind::Text(Rule::Any),
        "Mirror of the tools tree",
    )
    .described("`Mirror=` for the same distribution")
    .scope(Scope::Tools)
    .no_effect("tools are found without a tools tree"),
    Setting::new(
        Section::Build,
        "ToolsTreeSnapshot",
        "tools-tree-snapshot",
        Kind::Text(Rule::Any),
        "Snapshot of the tools tree",
    )
    .described("`Snapshot=` for the same distribution")
    .scope(Scope::Tools)
    .no_effect("tools are found without a tools tree"),
    Setting::new(
        Section::Build,
        "ToolsTreeRepositories",
        "tools-tree-repository",
        Kind::List(Rule::Any),
        "Repositories of the tools tree",
    )
    .scope(Scope::Tools)
    .no_effect("tools are found without a tools tree"),
    Setting::new(
        Section::Build,
        "ToolsTreeSandboxTrees",
        "tools-tree-sandbox-tree",
        Kind::Trees(TreeRule {
            required: true,
            directory: false,
            absolute: true,
        }),
        "Sandbox trees of the tools tree",
    )
    .scope(Scope::Tools)
    .no_effect("tools are found without a tools tree"),
    Setting::new(
        Section::Build,
        "ToolsTreePackages",
        "tools-tree-package",
        Kind::List(Rule::Package),
        "Packages of the tools tree",
    )
    .scope(Scope::Tools)
    .no_effect("tools are found without a tools tree"),
    Setting::new(
        Section::Build,
        "ToolsTreePackageDirectories",
        "tools-tree-package-directory",
        Kind::Paths(PathRule::PRESENT),
        "Local packages of the tools tree",
    )
    .scope(Scope::Tools)
    .no_effect("tools are found without a tools tree"),
    Setting::new(
        Section::Build,
        "ToolsTreeCertificates",
        "tools-tree-certificates",
        Kind::Boolean,
        "Take certificates from the tools tree",
    )
    .scope(Scope::Universal)
    .default("yes")
    .no_effect("tools are found without a tools tree"),
    Setting::new(
        Section::Build,
        "ExtraSearchPaths",
        "extra-search-path",
        Kind::Paths(PathRule {
            outside: Some("/usr"),
            ..PathRule::PRESENT
        }),
        "More directories to find tools in",
    )
    .scope(Scope::Universal)
    .no_effect("tools are found without it"),
    Setting::new(
        Section::Build,
        "Incremental",
        "incremental",
        INCREMENTAL,
        "Keep and reuse what was built",
    )
    .short_for('i', "yes")
    .scope(Scope::Universal)
    .default("no")
    .no_effect("layers are always kept, and reused when their inputs are the same"),
    Setting::new(
        Section::Build,
        "CacheOnly",
        "cache-only",
        CACHE_ONLY,
        "What must come from the cache: auto, metadata, always or never",
    )
    .scope(Scope::Inherit)
    .default("auto"),
    Setting::new(
        Section::Build,
        "SandboxTrees",
        "sandbox-tree",
        Kind::Trees(TreeRule {
            required: true,
            directory: false,
            absolute: true,
        }),
        "Trees for the sandbox of package managers",
    )
    .tools()
    .scope(Scope::Universal)
    .magic(&[
        Magic::Path("mkosi.sandbox"),
        Magic::Path("mkosi.sandbox.tar"),
        Magic::Path("mkosi.pkgmngr"),
        Magic::Path("mkosi.pkgmngr.tar"),
    ]),
    Setting::new(
        Section::Build,
        "WorkspaceDirectory",
        "workspace-directory",
        Kind::Path(PathRule::ANY),
        "Where builds keep their temporary files",
    )
    .scope(Scope::Multiversal)
    .no_effect("temporary files are kept beside the layers (`CacheDirectory=`)"),
    Setting::new(
        Section::Build,
        "CacheDirectory",
        "cache-directory",
        Kind::Path(PathRule::ANY),
        "Where layers are kept",
    )
    .scope(Scope::Universal)
    .magic(&[Magic::Path("mkosi.cache")]),
    Setting::new(
        Section::Build,
        "CacheKey",
        "cache-key",
        Kind::Delayed(Rule::Any, "draivI"),
        "Name of the cache entry",
    )
    .scope(Scope::Inherit)
    .default("&d~&r~&a~&I")
    .no_effect("layers are kept under a key made of all their inputs"),
    Setting::new(
        Section::Build,
        "PackageCacheDirectory",
        "package-cache-directory",
        Kind::Path(PathRule::ANY),
        "Where downloaded packages are kept",
    )
    .scope(Scope::Multiversal)
    .magic(&[Magic::Path("mkosi.pkgcache")])
    .described("below the cache directory of the user"),
    Setting::new(
        Section::Build,
        "BuildDirectory",
        "build-directory",
        Kind::Path(PathRule::ANY),
        "Directory that build scripts find again",
    )
    .scope(Scope::Universal)
    .magic(&[Magic::Path("mkosi.builddir")]),
    Setting::new(
        Section::Build,
        "BuildKey",
        "build-key",
        Kind::Delayed(Rule::Any, "draivI"),
        "Name in the build directory",
    )
    .scope(Scope::Inherit)
    .default("&d~&r~&a"),
    Setting::new(
        Section::Build,
        "UseSubvolumes",
        "use-subvolumes",
        Kind::Feature,
        "Use btrfs subvolumes",
    )
    .scope(Scope::Universal)
    .default("auto")
    .no_effect("layers are kept without subvolumes"),
    Setting::new(
        Section::Build,
        "RepartOffline",
        "repart-offline",
        Kind::Boolean,
        "Write partitions without loop devices",
    )
    .scope(Scope::Universal)
    .default("yes")
    .no_effect("partitions are always written without loop devices"),
    Setting::new(
        Section::Build,
        "History",
        "history",
        Kind::Boolean,
        "Record the command line",
    )
    .scope(Scope::Main)
    .default("no")
    .no_effect("the command line is not recorded"),
    Setting::new(
        Section::Build,
        "BuildSources",
        "build-sources",
        Kind::Trees(TreeRule {
            required: true,
            directory: true,
            absolute: false,
        }),
        "Sources that scripts see",
    )
    .scope(Scope::Multiversal)
    .matched(Matcher::Member)
    .described("the recipe's directory"),
    Setting::new(
        Section::Build,
        "BuildSourcesEphemeral",
        "build-sources-ephemeral",
        EPHEMERAL,
        "Discard what scripts write to the sources",
    )
    .scope(Scope::Multiversal)
    .default("no")
    .unsupported(
        "what scripts write to the sources is always discarded",
        &["no", "yes"],
    ),
    Setting::new(
        Section::Build,
        "Environment",
        "environment",
        Kind::Variables,
        "Environment of scripts",
    )
    .tools()
    .short('E')
    .matched(Matcher::Variable),
    Setting::new(
        Section::Build,
        "EnvironmentFiles",
        "env-file",
        Kind::Paths(PathRule::PRESENT),
        "Files with `NAME=VALUE` lines for the environment",
    )
    .tools()
    .magic(&[Magic::Path("mkosi.env")]),
    Setting::new(
        Section::Build,
        "WithTests",
        "with-tests",
        Kind::Boolean,
        "Tell build scripts to run tests",
    )
    .short_for('T', "no")
    .scope(Scope::Universal)
    .default("yes"),
    Setting::new(
        Section::Build,
        "WithNetwork",
        "with-network",
        Kind::Boolean,
        "Give scripts the network",
    )
    .scope(Scope::Universal)
    .default("no"),
    Setting::new(
        Section::Build,
        "ProxyUrl",
        "proxy-url",
        Kind::Text(Rule::Any),
        "Proxy for downloads",
    )
    .nullable()
    .scope(Scope::Multiversal)
    .unsupported("proxies are not used yet", &[]),
    Setting::new(
        Section::Build,
        "ProxyExclude",
        "proxy-exclude",
        Kind::List(Rule::Any),
        "Hosts not to use the proxy for",
    )
    .scope(Scope::Multiversal)
    .no_effect("only `ProxyUrl=` uses it"),
    Setting::new(
        Section::Build,
        "ProxyPeerCertificate",
        "proxy-peer-certificate",
        Kind::Path(PathRule::PRESENT),
        "Certificates that verify the proxy",
    )
    .described("the certificates the host trusts")
    .nullable()
    .scope(Scope::Multiversal)
    .no_effect("only `ProxyUrl=` uses it"),
    Setting::new(
        Section::Build,
        "ProxyClientCertificate",
        "proxy-client-certificate",
        Kind::Path(PathRule {
            secret: true,
            ..PathRule::PRESENT
        }),
        "Certificate shown to the proxy",
    )
    .scope(Scope::Multiversal)
    .no_effect("only `ProxyUrl=` uses it"),
    Setting::new(
        Section::Build,
        "ProxyClientKey",
        "proxy-client-key",
        Kind::Path(PathRule {
            secret: true,
            ..PathRule::PRESENT
        }),
        "Key of that certificate",
    )
    .described("`ProxyClientCertificate=`")
    .nullable()
    .scope(Scope::Multiversal)
    .no_effect("only `ProxyUrl=` uses it"),
    Setting::new(
        Section::Build,
        "MakeScriptsExecutable",
        "make-scripts-executable",
        Kind::Boolean,
        "Make scripts executable",
    )
    .scope(Scope::Multiversal)
    .default("no"),
    Setting::new(
        Section::Build,
        "ForeignUIDRange",
        "foreign-uid-range",
        Kind::Boolean,
        "Give directories to the foreign user range",
    )
    .scope(Scope::Main)
    .default("no")
    .unsupported("directories keep the ids of whoever builds", &["no"]),
    Setting::new(
        Section::Build,
        "DelegateRanges",
        "delegate-ranges",
        Kind::Integer,
        "Ranges of user ids that the build gets besides",
    )
    .scope(Scope::Main)
    .default("0")
    .no_effect("ids are recorded, and need no ranges"),
];
