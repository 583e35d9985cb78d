//! apt and dpkg: configuration text, arguments, and the text they print.
//!
//! apt runs outside the image, from the host's `/usr`, and works on the image at [`ROOT`]. Nothing of the host's own
//! apt configuration is visible to it: `APT_CONFIG` names a file that redirects every directory.

mod configuration;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod listed;
mod options;
mod output;
mod sources;

pub use self::configuration::{Configuration, command, configuration};
pub use self::listed::{Form, Listed, Problem, parse_listed};
pub use self::options::permitted_options;
pub use self::output::{
    InvalidOutput, ResolvedPackage, Status, build_time, parse_status, parse_uris,
};
pub use self::sources::{Stanza, Trust, parse_sources, render_sources};

/// The host's programs that apt's steps start, with the Debian package each is in (`[workspace.metadata.external-tools]`).
pub const PROGRAMS: [(&str, &str); 4] = [
    ("apt-get", "apt"),
    ("dpkg", "dpkg"),
    ("dpkg-deb", "dpkg"),
    ("tar", "tar"),
];
/// Where those programs are looked for; the caller's `PATH` is no part of a build.
pub const PROGRAM_DIRECTORIES: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];
/// Where the image's tree is, inside the sandbox.
pub const ROOT: &str = "/buildroot";
/// Where the generated configuration is, inside the sandbox.
pub const CONFIGURATION_FILE: &str = "/etc/apt/overcoat.conf";
/// Where the generated list of repositories is, inside the sandbox.
pub const SOURCES_FILE: &str = "/etc/apt/sources.list.d/overcoat.sources";
/// Where the repositories' metadata is, inside the sandbox.
pub const LISTS: &str = "/apt/lists";
/// The address of the recipe's own packages. Nothing is there: their index is laid among the others' metadata, and apt
/// finds their files where downloaded ones are.
pub const LOCAL_REPOSITORY: &str = "copy:/apt/local";
/// The names that apt gives to the metadata of that repository, which has one directory.
pub const LOCAL_INDEX: &str = "_apt_local_._Packages";
pub const LOCAL_RELEASE: &str = "_apt_local_._Release";
/// What tells that repository from others in [`LOCAL_PREFERENCE`].
pub const LOCAL_RELEASE_TEXT: &str = "Label: overcoat-local\n";
/// The name and text of the file that makes apt prefer that repository, to newer versions too (apt_preferences(5)).
pub const LOCAL_PREFERENCE: (&str, &str) = (
    "/etc/apt/preferences.d/overcoat-local",
    "Package: *\nPin: release l=overcoat-local\nPin-Priority: 1100\n",
);
/// Where downloaded packages are, inside the sandbox.
pub const ARCHIVES: &str = "/apt/archives";
