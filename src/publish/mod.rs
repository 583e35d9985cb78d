//! Staged outputs move to the output directory; a failed build changes nothing there.
