//! Which numbers of users and groups mean the same on every machine of a distribution.

use std::ops::RangeInclusive;

use crate::recipe::Distribution;

/// Debian policy 9.2.2: 0-99 are on every system, 60000-64999 are given out by the project to one package each, and
/// 65534 is nobody. 100-999 are given out by each system for itself.
const DEBIAN: &[RangeInclusive<u32>] = &[0..=99, 60_000..=64_999, 65_534..=65_534];

/// What Linux and systemd agree on everywhere: root and nobody (<https://systemd.io/UIDS-GIDS>).
const COMMON: &[RangeInclusive<u32>] = &[0..=0, 65_534..=65_534];

/// Returns the numbers of users, and of groups, that no system of `distribution` gives to anyone else.
pub fn static_ids(distribution: Distribution) -> &'static [RangeInclusive<u32>] {
    match distribution {
        Distribution::Debian | Distribution::Kali | Distribution::Ubuntu => DEBIAN,
        _ => COMMON,
    }
}
