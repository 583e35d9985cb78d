//! Cutting capabilities (capabilities(7)) of the program and of the supervisor of a scoped network.

use std::str::FromStr;

use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use oci_spec::runtime as oci;

use crate::report::{Failure, Step};

/// Leaves the program the capabilities of the specification, and returns their names.
///
/// The bounding set is cut first, which needs CAP_SETPCAP. The program runs as id 0, so executing it would otherwise
/// give back all that the bounding set holds.
pub(crate) fn restrict_program(sets: &oci::LinuxCapabilities) -> Result<Vec<String>, Failure> {
    let kept = named(sets.bounding().iter().flatten())?;
    cut_bounding_set(&kept)?;
    caps::clear(None, CapSet::Ambient).map_err(failure)?;
    keep(&kept)?;
    let mut names: Vec<String> = kept.iter().map(ToString::to_string).collect();
    names.sort();
    Ok(names)
}

/// Leaves the calling process what it takes to read the memory and the descriptors of the program.
pub(crate) fn keep_tracing() -> Result<(), Failure> {
    keep(&CapsHashSet::from([Capability::CAP_SYS_PTRACE]))
}

fn keep(kept: &CapsHashSet) -> Result<(), Failure> {
    // The effective set must be a part of the permitted one at each moment.
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, kept).map_err(failure)?;
    }
    caps::clear(None, CapSet::Inheritable).map_err(failure)
}

fn cut_bounding_set(kept: &CapsHashSet) -> Result<(), Failure> {
    for capability in caps::all() {
        // Older kernels do not know the newest capabilities, and say so here.
        let held = caps::has_cap(None, CapSet::Bounding, capability).unwrap_or(false);
        if held && !kept.contains(&capability) {
            caps::drop(None, CapSet::Bounding, capability)
                .map_err(|error| failure(error).about(capability))?;
        }
    }
    Ok(())
}

fn named<'a>(set: impl Iterator<Item = &'a oci::Capability>) -> Result<CapsHashSet, Failure> {
    set.map(|capability| {
        let name = format!("CAP_{capability}");
        Capability::from_str(&name)
            .map_err(|_| Failure::of(Step::DropCapabilities, Errno::EINVAL).about(name))
    })
    .collect()
}

/// The crate gives a text; the errno of its last system call is still there.
fn failure(error: caps::errors::CapsError) -> Failure {
    Failure::of(Step::DropCapabilities, Errno::last()).explained(Some(error.to_string()))
}
