//! The file as it is written. Unknown fields are errors: a condition whose name is misspelt would be none.

use serde::Deserialize;

/// `linux.seccomp` of the OCI runtime specification, and what Docker's and Podman's files have beyond it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Document {
    pub(super) default_action: String,
    pub(super) default_errno_ret: Option<u32>,
    /// Podman's name for the number, which must be there as well.
    pub(super) default_errno: Option<String>,
    #[serde(default)]
    pub(super) architectures: Option<Vec<String>>,
    #[serde(default)]
    pub(super) arch_map: Option<Vec<Architectures>>,
    #[serde(default)]
    pub(super) flags: Option<Vec<String>>,
    pub(super) listener_path: Option<String>,
    pub(super) listener_metadata: Option<String>,
    #[serde(default)]
    pub(super) syscalls: Option<Vec<Entry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Architectures {
    pub(super) architecture: String,
    #[serde(default)]
    pub(super) sub_architectures: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) names: Option<Vec<String>>,
    pub(super) action: String,
    pub(super) errno_ret: Option<u32>,
    pub(super) errno: Option<String>,
    #[serde(default)]
    pub(super) args: Option<Vec<Argument>>,
    #[serde(rename = "comment", default)]
    _comment: Option<String>,
    #[serde(default)]
    pub(super) includes: Option<Filter>,
    #[serde(default)]
    pub(super) excludes: Option<Filter>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Argument {
    pub(super) index: u32,
    pub(super) value: u64,
    pub(super) value_two: Option<u64>,
    pub(super) op: String,
}

/// Docker's conditions on the host, under which an entry applies or does not.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Filter {
    #[serde(default)]
    pub(super) caps: Option<Vec<String>>,
    #[serde(default)]
    pub(super) arches: Option<Vec<String>>,
    pub(super) min_kernel: Option<String>,
}
