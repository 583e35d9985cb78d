//! Which packages an image is made of besides those of `Packages=`.

/// What a recipe says about packages that are not simply installed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PackageSources {
    /// Only build scripts see them. Sorted as the image's own packages, like those below.
    pub build_packages: Vec<String>,
    /// They are installed after build scripts.
    pub volatile_packages: Vec<String>,
}
