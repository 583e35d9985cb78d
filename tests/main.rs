//! Black-box tests of the program: no network, no host package manager, as an ordinary user. One module per verb.
#![expect(
    clippy::unwrap_used,
    reason = "a test whose world cannot be made has failed"
)]

mod again;
mod bases;
mod build;
mod cat_config;
mod check;
mod clean;
mod completion;
mod corpus;
mod doctor;
mod documentation;
mod effects;
mod file_systems;
mod fuzzing;
mod genkey;
mod grants;
mod harness;
mod help;
mod hostile;
mod images;
mod manifest;
mod output;
mod outputs;
mod programs;
mod readme;
mod recipe;
mod sandbox;
mod script_attacks;
mod scripts;
mod sign;
mod summary;
mod trust;
mod unused;
mod usage;

#[test]
fn every_file_is_a_module() {
    harness::assert_files_are_modules("tests", include_str!("main.rs"));
}
