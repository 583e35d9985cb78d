//! The verbs.

/// What to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) enum Verb {
    Build,
    Explain,
    Summary,
    CatConfig,
    Clean,
    Genkey,
    Doctor,
    Sandbox,
    Sign,
    Inspect,
    Verify,
    Extract,
    Diff,
    Check,
    Documentation,
    Completion,
    Help,
    Version,
}

impl Verb {
    /// Returns how many arguments may follow the verb.
    pub(super) fn most_arguments(self) -> usize {
        match self {
            Self::Build | Self::Documentation => usize::MAX,
            Self::Completion => 1,
            _ => 0,
        }
    }
}

/// The verbs that can be typed; `--version` has none.
pub(in crate::cli) const VERBS: [(&str, Verb, &str); 17] = [
    ("build", Verb::Build, "build the images"),
    (
        "explain",
        Verb::Explain,
        "say what a build would make again, and why",
    ),
    ("summary", Verb::Summary, "show the settings of each image"),
    (
        "cat-config",
        Verb::CatConfig,
        "show the files that each image is read from",
    ),
    ("clean", Verb::Clean, "remove what was built"),
    ("genkey", Verb::Genkey, "make `mkosi.key` and `mkosi.crt`"),
    ("doctor", Verb::Doctor, "say what the host can do"),
    (
        "sandbox",
        Verb::Sandbox,
        "run a command confined, see `overcoat sandbox --help`",
    ),
    (
        "sign",
        Verb::Sign,
        "sign an image later, see `overcoat sign --help`",
    ),
    (
        "inspect",
        Verb::Inspect,
        "show what an image is, see `overcoat inspect --help`",
    ),
    (
        "verify",
        Verb::Verify,
        "check every byte of an image, see `overcoat verify --help`",
    ),
    (
        "extract",
        Verb::Extract,
        "copy what is in an image, see `overcoat extract --help`",
    ),
    (
        "diff",
        Verb::Diff,
        "compare two images, see `overcoat diff --help`",
    ),
    (
        "check",
        Verb::Check,
        "say whether an extension works on a host, see `overcoat check --help`",
    ),
    (
        "documentation",
        Verb::Documentation,
        "describe all settings, or those that follow",
    ),
    (
        "completion",
        Verb::Completion,
        "print the completions for `bash`, `fish` or `zsh`",
    ),
    ("help", Verb::Help, "show this help"),
];

/// Verbs of mkosi that do nothing here, so that they are not taken for a typing mistake.
pub(super) const FOREIGN_VERBS: [&str; 15] = [
    "shell",
    "boot",
    "vm",
    "qemu",
    "ssh",
    "journalctl",
    "coredumpctl",
    "serve",
    "burn",
    "sysupdate",
    "box",
    "init",
    "bump",
    "dependencies",
    "latest-snapshot",
];
