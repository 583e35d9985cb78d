//! What a build tells the person while it runs; rendering is the command line's business.

use std::path::Path;
use std::time::Duration;

use super::record::Change;
use crate::extension::Finding;

/// Receives the events of a build, possibly from several threads.
pub trait Observer: Send + Sync {
    /// Takes one event.
    fn event(&self, event: &Event<'_>);
}

/// Something that happened in a build.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The images that will be built are known.
    BuildStarted { image_count: usize },
    /// The outputs of an image are what they would be made again.
    ImageUpToDate { image: &'a str },
    /// An image is made again, for these reasons.
    ImageDue {
        image: &'a str,
        changes: &'a [Change],
    },
    /// Work on one image begins.
    ImageStarted { image: &'a str },
    /// A step of the image begins; unless the build fails, it ends with [`Event::StepFinished`].
    StepStarted { image: &'a str, step: &'a str },
    /// A step got further: `item` (a package, a file) is number `done` of `total`.
    StepProgress {
        image: &'a str,
        step: &'a str,
        item: &'a str,
        done: u64,
        total: u64,
    },
    /// The running program printed a line; it is untrusted text.
    StepOutput {
        image: &'a str,
        step: &'a str,
        line: &'a str,
    },
    /// The step is done, or was never started because its result was there already (`cached`).
    StepFinished {
        image: &'a str,
        step: &'a str,
        elapsed: Duration,
        cached: bool,
    },
    /// An output is in the output directory.
    OutputWritten {
        image: &'a str,
        path: &'a Path,
        size_bytes: u64,
        elapsed: Duration,
    },
    /// Something to know about an extension that was made.
    Finding {
        image: &'a str,
        finding: &'a Finding,
    },
    /// Something the person should know that does not stop the build.
    Warning { image: &'a str, text: &'a str },
}
