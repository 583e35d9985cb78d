//! The program meets the world: real mirrors and package managers, and foreign programs as judges of its images.
//!
//! The tests share one build of the tutorial and one package cache. What a host lacks is skipped aloud, or fails with
//! `OVERCOAT_TEST_REQUIRE=1`.
#![expect(
    clippy::unwrap_used,
    reason = "a test whose world cannot be made has failed"
)]

#[path = "../tests/harness/mod.rs"]
mod harness;
#[macro_use]
mod require;

mod archives;
mod attacks;
mod bases;
mod booted;
mod checked;
mod ddi;
mod disks;
mod dissected;
mod egress;
mod faults;
mod features;
mod grants;
mod hostile;
mod images;
mod interruption;
mod limits;
mod malformed;
mod oracles;
mod outputs;
mod owners;
mod ownership;
mod printed;
mod private_mounts;
mod programs;
mod range;
mod recipes;
mod repository;
mod reproducibility;
mod selinux;
mod system;
mod trees;
mod trust;
mod tutorial;

#[test]
fn every_file_is_a_module() {
    harness::assert_files_are_modules("integration", include_str!("main.rs"));
}
