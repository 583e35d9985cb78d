//! How hard links are numbered.

use std::collections::HashMap;

use super::{Entry, HardLinkGroup};

/// Numbers the groups from 1 in order of their first names, and dissolves those of which one name is left.
pub fn number_hard_links<'a>(entries: impl Iterator<Item = &'a mut Entry>) {
    let mut linked: Vec<&mut Entry> = entries.filter(|entry| entry.hard_link.is_some()).collect();
    let mut name_counts = HashMap::new();
    for group in linked.iter().filter_map(|entry| entry.hard_link) {
        *name_counts.entry(group).or_insert(0_usize) += 1;
    }
    let mut numbers = HashMap::new();
    for entry in &mut linked {
        entry.hard_link = entry.hard_link.filter(|group| name_counts[group] > 1);
        if let Some(group) = entry.hard_link {
            let next = HardLinkGroup(numbers.len() as u64 + 1);
            entry.hard_link = Some(*numbers.entry(group).or_insert(next));
        }
    }
}
