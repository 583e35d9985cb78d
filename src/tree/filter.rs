//! Filters: functions from a tree to a narrower or adjusted tree. Nothing on disk changes.

use super::{FileTree, Timestamp, TreePath};

impl FileTree {
    /// Keeps the entries for which `keep` answers true; what lies below a dropped directory goes with it.
    #[must_use]
    pub fn retain(mut self, mut keep: impl FnMut(&TreePath, &super::Entry) -> bool) -> Self {
        let mut dropped: Option<TreePath> = None;
        self.entries.retain(|path, entry| {
            if path.is_root() {
                return true;
            }
            if dropped
                .as_ref()
                .is_some_and(|directory| path.starts_with(directory))
            {
                return false;
            }
            let kept = keep(path, entry);
            if !kept && entry.is_directory() {
                dropped = Some(path.clone());
            }
            kept
        });
        self
    }

    /// Lowers every modification time above `latest` to it.
    #[must_use]
    pub fn clamp_times(mut self, latest: Timestamp) -> Self {
        for entry in self.entries.values_mut() {
            entry.modified = entry.modified.min(latest);
        }
        self
    }
}
