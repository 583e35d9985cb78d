//! extension-release, hierarchies and lints of system extensions.
