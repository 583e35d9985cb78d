//! The exit statuses of `overcoat`, which scripts may rely on.

/// Everything that was asked for is done.
pub(super) const SUCCESS: u8 = 0;
/// The build failed: a program, an image or an output went wrong.
pub(super) const BUILD_FAILED: u8 = 1;
/// The recipe or the command line is wrong; nothing was built.
pub(super) const BAD_RECIPE: u8 = 2;
/// The host lacks a feature or a tool that the build needs.
pub(super) const HOST_LACKS_FEATURE: u8 = 3;
/// The command of `overcoat sandbox` took longer than `--time` gives it, as with timeout(1).
pub(super) const TIMED_OUT: u8 = 124;
/// The sandbox could not be set up; no program ran in it.
pub(super) const SANDBOX_SETUP: u8 = 125;
/// A signal interrupted the build.
pub(super) const INTERRUPTED: u8 = 130;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_what_scripts_rely_on() {
        assert_eq!(
            [
                SUCCESS,
                BUILD_FAILED,
                BAD_RECIPE,
                HOST_LACKS_FEATURE,
                TIMED_OUT,
                SANDBOX_SETUP,
                INTERRUPTED
            ],
            [0, 1, 2, 3, 124, 125, 130]
        );
    }

    #[test]
    fn readme_lists_every_status() {
        let readme = include_str!("../../README.md");
        for status in [
            SUCCESS,
            BUILD_FAILED,
            BAD_RECIPE,
            HOST_LACKS_FEATURE,
            TIMED_OUT,
            SANDBOX_SETUP,
            INTERRUPTED,
        ] {
            assert_eq!(
                readme.matches(&format!("| {status} |")).count(),
                1,
                "exit status {status} in README.md"
            );
        }
    }
}
