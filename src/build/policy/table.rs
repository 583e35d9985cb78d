//! The table.

use std::time::Duration;

use overcoat_sandbox::Capability;

use super::places::SOURCES;
use super::{
    Access, Column, Ids, Image, Limits, Network, PackageManager, Policy, Sources, StepKind, Sync,
    Variable,
};
use crate::packages::apt;

/// Returns the row of a kind of step.
pub fn policy(kind: StepKind) -> &'static Policy {
    match kind {
        StepKind::Configuration => &CONFIGURATION,
        StepKind::Metadata => &METADATA,
        StepKind::Resolve => &RESOLVE,
        StepKind::Download => &DOWNLOAD,
        StepKind::Unpack => &UNPACK,
        StepKind::Install => &INSTALL,
        StepKind::Sync => &SYNC,
        StepKind::Script => &SCRIPT,
        StepKind::SetUp => &SET_UP,
        StepKind::Finalize => &FINALIZE,
        StepKind::PostOutput => &POST_OUTPUT,
    }
}

/// The row that grants nothing; the others say how they differ from it.
const NOTHING: Policy = Policy {
    kind: StepKind::Configuration,
    name: "",
    purpose: "",
    network: Network::None,
    package_manager: PackageManager::Absent,
    lists: Access::Absent,
    archives: Access::Absent,
    image: Image::Absent,
    sources: Sources::Absent,
    build: Access::Absent,
    destination: Access::Absent,
    handed: Access::Absent,
    output: Access::Absent,
    ids: Ids::One,
    sync: Sync::Kept,
    variables: &[],
    capabilities: &[],
    limits: Limits {
        wall_clock: ONE_HOUR,
    },
    reasons: &[],
};

const CONFIGURATION: Policy = Policy {
    kind: StepKind::Configuration,
    name: "configuration",
    purpose: "runs an executable configuration file of the recipe, whose output is read as settings",
    sources: Sources::Read,
    limits: Limits {
        wall_clock: ONE_MINUTE,
    },
    reasons: &[(
        Column::Sources,
        "the file itself, and what it makes its settings of",
    )],
    ..NOTHING
};

const METADATA: Policy = Policy {
    kind: StepKind::Metadata,
    name: "metadata",
    purpose: "apt gets the repositories' metadata and checks its signatures; no code of a recipe or package runs",
    network: Network::Mirrors,
    package_manager: PackageManager::Configured,
    lists: Access::Write,
    image: Image::NoPackages,
    variables: &[APT_VARIABLES, PROXY_VARIABLES],
    reasons: &[
        (Column::Network, "the metadata is there"),
        (Column::PackageManager, APT_RUNS),
        (Column::Lists, "where the metadata goes"),
        (Column::Image, APT_INSISTS),
        (Column::Variables, PROXIES),
    ],
    ..NOTHING
};

const RESOLVE: Policy = Policy {
    kind: StepKind::Resolve,
    name: "resolve",
    purpose: "apt chooses the packages that the recipe's need; no code of a recipe or package runs",
    package_manager: PackageManager::Configured,
    lists: Access::Read,
    image: Image::ReadOnly,
    variables: &[APT_VARIABLES],
    reasons: &[
        (Column::PackageManager, APT_RUNS),
        (Column::Lists, "what there is to choose from"),
        (Column::Image, "which packages are installed below"),
        (Column::Variables, APT_RUNS),
    ],
    ..NOTHING
};

const DOWNLOAD: Policy = Policy {
    kind: StepKind::Download,
    name: "download",
    purpose: "apt gets the chosen packages; no code of a recipe or package runs",
    network: Network::Mirrors,
    package_manager: PackageManager::Configured,
    lists: Access::Read,
    archives: Access::Write,
    image: Image::NoPackages,
    variables: &[APT_VARIABLES, PROXY_VARIABLES],
    reasons: &[
        (Column::Network, "the packages are there"),
        (Column::PackageManager, APT_RUNS),
        (Column::Lists, "where each package is, and its digest"),
        (Column::Archives, "where the packages go"),
        (Column::Image, APT_INSISTS),
        (Column::Variables, PROXIES),
    ],
    ..NOTHING
};

const UNPACK: Policy = Policy {
    kind: StepKind::Unpack,
    name: "unpack",
    purpose: "dpkg-deb and tar unpack the first packages of a new system; none of their code runs",
    archives: Access::Read,
    image: Image::New,
    ids: Ids::Record,
    sync: Sync::Suppressed,
    capabilities: UNPACKING,
    reasons: &[
        (Column::Archives, "the packages"),
        (Column::Image, "where they are unpacked"),
        (Column::Ids, OWNERS),
        (Column::Sync, THROWN_AWAY),
        (Column::Capabilities, "owners and modes of what is unpacked"),
    ],
    ..NOTHING
};

const INSTALL: Policy = Policy {
    kind: StepKind::Install,
    name: "install",
    purpose: "apt and dpkg install packages, whose maintainer scripts run as root of the image",
    package_manager: PackageManager::Configured,
    lists: Access::Read,
    archives: Access::Read,
    image: Image::Overlay,
    ids: Ids::RecordAndAnswer,
    sync: Sync::Suppressed,
    variables: &[APT_VARIABLES, PACKAGE_VARIABLES],
    capabilities: ROOT_OF_IMAGE,
    reasons: &[
        (Column::PackageManager, APT_RUNS),
        (Column::Lists, "apt orders what it installs by it"),
        (Column::Archives, "the packages, those of this step alone"),
        (Column::Image, "where they are installed"),
        (Column::Ids, OWNERS),
        (Column::Sync, THROWN_AWAY),
        (Column::Variables, UNATTENDED),
        (Column::Capabilities, SCRIPTS_ARE_ROOT),
    ],
    ..NOTHING
};

const SYNC: Policy = Policy {
    kind: StepKind::Sync,
    name: "sync",
    purpose: "runs a script of the recipe that completes the sources of an image before anything is built",
    sources: Sources::Overlay,
    variables: &[SOURCE_VARIABLES],
    reasons: &[
        (
            Column::Sources,
            "what the script completes; later scripts see what it wrote",
        ),
        (Column::Variables, SCRIPT_CONTRACT),
    ],
    ..NOTHING
};

const SCRIPT: Policy = Policy {
    kind: StepKind::Script,
    name: "script",
    purpose: "runs a script of the recipe that prepares the image or builds for it, as root of the image",
    image: Image::Overlay,
    sources: Sources::Overlay,
    build: Access::Write,
    destination: Access::Write,
    handed: Access::Write,
    ids: Ids::RecordAndAnswer,
    sync: Sync::Suppressed,
    variables: &[PACKAGE_VARIABLES, IMAGE_VARIABLES, SOURCE_VARIABLES],
    capabilities: ROOT_OF_IMAGE,
    reasons: &[
        (Column::Image, "what the script changes or builds with"),
        (Column::Sources, "the script itself, and what it builds"),
        (Column::Build, "what it keeps from one build to the next"),
        (Column::Destination, "what it installs into the image"),
        (Column::Handed, "what it makes for later steps"),
        (Column::Ids, OWNERS),
        (Column::Sync, THROWN_AWAY),
        (Column::Variables, SCRIPT_CONTRACT),
        (Column::Capabilities, SCRIPTS_ARE_ROOT),
    ],
    ..NOTHING
};

const SET_UP: Policy = Policy {
    kind: StepKind::SetUp,
    name: "set-up",
    purpose: "runs the image's own tools, which make its users, directories and caches, as root of the image",
    image: Image::Overlay,
    ids: Ids::RecordAndAnswer,
    sync: Sync::Suppressed,
    variables: &[SET_UP_VARIABLES],
    capabilities: ROOT_OF_IMAGE,
    reasons: &[
        (Column::Image, "the tools, and what they change"),
        (Column::Ids, "the users that are made own directories"),
        (Column::Sync, THROWN_AWAY),
        (
            Column::Variables,
            "nothing of the machine that the image is built on decides what they do",
        ),
        (Column::Capabilities, SCRIPTS_ARE_ROOT),
    ],
    ..NOTHING
};

const FINALIZE: Policy = Policy {
    kind: StepKind::Finalize,
    name: "finalize",
    purpose: "runs a script of the recipe on the image when all is in it, as root of the image",
    image: Image::Overlay,
    sources: Sources::Overlay,
    build: Access::Read,
    handed: Access::Write,
    output: Access::Write,
    ids: Ids::RecordAndAnswer,
    sync: Sync::Suppressed,
    variables: &[PACKAGE_VARIABLES, IMAGE_VARIABLES, SOURCE_VARIABLES],
    capabilities: ROOT_OF_IMAGE,
    reasons: &[
        (Column::Image, "what the script changes"),
        (Column::Sources, "the script itself, and what it installs"),
        (Column::Build, "what build scripts have made there"),
        (Column::Handed, "what earlier scripts made for it"),
        (Column::Output, "files that it adds to the outputs"),
        (Column::Ids, OWNERS),
        (Column::Sync, THROWN_AWAY),
        (Column::Variables, SCRIPT_CONTRACT),
        (Column::Capabilities, SCRIPTS_ARE_ROOT),
    ],
    ..NOTHING
};

const POST_OUTPUT: Policy = Policy {
    kind: StepKind::PostOutput,
    name: "postoutput",
    purpose: "runs a script of the recipe on the outputs of an image, before they are published or when they are removed",
    sources: Sources::Overlay,
    output: Access::Write,
    sync: Sync::Suppressed,
    variables: &[SOURCE_VARIABLES],
    reasons: &[
        (Column::Sources, "the script itself, and what it adds"),
        (Column::Output, "what the script works on"),
        (Column::Sync, "outputs are synced when they are published"),
        (Column::Variables, SCRIPT_CONTRACT),
    ],
    ..NOTHING
};

/// How long a step may take: a package that waits for input must not hold a build for ever.
const ONE_HOUR: Duration = Duration::from_secs(60 * 60);
/// How long a file may take to say its settings.
const ONE_MINUTE: Duration = Duration::from_secs(60);

const APT_RUNS: &str = "apt runs with a configuration of ours instead of the host's";
const APT_INSISTS: &str =
    "apt insists on a list of installed packages; an empty one shows nothing of the image";
const PROXIES: &str = "apt's configuration, and the proxies that the caller's network may need";
const OWNERS: &str = "packages have files of users that the host does not have";
const THROWN_AWAY: &str = "what the step wrote is thrown away when it fails";
const UNATTENDED: &str = "packages must neither ask questions nor start services";
const SCRIPTS_ARE_ROOT: &str = "scripts work on the image as its root, which owns all of it";
const SCRIPT_CONTRACT: &str =
    "mkosi's scripts find their directories by these, and by those that a build adds for its image";

/// The same programs do the same with these everywhere.
pub(super) const COMMON_VARIABLES: &[Variable] = &[
    Variable::Fixed(
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    Variable::Fixed("HOME", "/root"),
    Variable::Fixed("LC_ALL", "C.UTF-8"),
    Variable::Fixed("TZ", "UTC"),
];

const APT_VARIABLES: &[Variable] = &[Variable::Fixed("APT_CONFIG", apt::CONFIGURATION_FILE)];

const PROXY_VARIABLES: &[Variable] = &[
    Variable::Caller("http_proxy"),
    Variable::Caller("https_proxy"),
    Variable::Caller("no_proxy"),
];

const PACKAGE_VARIABLES: &[Variable] = &[
    Variable::Build("SOURCE_DATE_EPOCH"),
    Variable::Fixed("DEBIAN_FRONTEND", "noninteractive"),
    Variable::Fixed("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    Variable::Fixed("DEBCONF_NOWARNINGS", "yes"),
    // Initrds and boot loader entries are not made by maintainer scripts, and no service manager is there.
    Variable::Fixed("INITRD", "No"),
    Variable::Fixed("KERNEL_INSTALL_BYPASS", "1"),
    Variable::Fixed("SYSTEMD_IN_CHROOT", "1"),
];

const IMAGE_VARIABLES: &[Variable] = &[Variable::Fixed("BUILDROOT", apt::ROOT)];

const SOURCE_VARIABLES: &[Variable] = &[Variable::Fixed("SRCDIR", SOURCES)];

const SET_UP_VARIABLES: &[Variable] = &[
    Variable::Build("SOURCE_DATE_EPOCH"),
    Variable::Fixed("SYSTEMD_IN_CHROOT", "1"),
    // The kernel of the machine that the image is built on was booted for something else.
    Variable::Fixed("SYSTEMD_PROC_CMDLINE", ""),
    Variable::Fixed("SYSTEMD_TMPFILES_FORCE_SUBVOL", "0"),
];

/// Owners and modes. They reach nothing outside of the user namespace.
const UNPACKING: &[Capability] = &[
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
];

/// What package managers and their scripts need as root of one mapped id. Nothing here reaches outside of the user
/// namespace. Not SYS_ADMIN (mounts), SYS_PTRACE, MKNOD or NET_ADMIN.
const ROOT_OF_IMAGE: &[Capability] = &[
    // Owners and modes of the tree that is built.
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Setfcap,
    // Maintainer scripts start and stop services and change to system users.
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::NetBindService,
    // `dpkg --root` and its kin.
    Capability::SysChroot,
];
