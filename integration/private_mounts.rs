//! Mounts that are gone when a test ends, whatever becomes of it.

use std::path::Path;

use nix::mount::MsFlags;
use nix::sched::CloneFlags;

use crate::require::tool;

/// Runs `work` in a thread that has mounts of its own; its children and the threads that it starts see them, too.
pub(crate) fn within<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let outcome = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                nix::sched::unshare(CloneFlags::CLONE_NEWNS).unwrap();
                let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
                nix::mount::mount::<str, str, str, str>(None, "/", None, flags, None).unwrap();
                work()
            })
            .join()
    });
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Mounts with mount(8), which finds a loop device.
pub(crate) fn mount(options: &[&str], image: &Path, place: &Path) {
    let mut arguments: Vec<&std::ffi::OsStr> = options.iter().map(AsRef::as_ref).collect();
    arguments.extend([image.as_os_str(), place.as_os_str()]);
    tool("mount").unwrap().output(&arguments);
}
