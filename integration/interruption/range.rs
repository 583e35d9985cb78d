//! The same with a range of ids, where what a killed build leaves belongs to ids that are not the caller's.

use super::fixture::Fixture;
use super::kill_at_random;
use crate::require;

#[test]
fn kills_at_random_moments_leave_nothing_that_lasts() {
    let mut fixture = require!(Fixture::new());
    if !require::has_range() {
        return;
    }
    fixture.options = &["--userns=range"];
    kill_at_random(&fixture, 25);
}
