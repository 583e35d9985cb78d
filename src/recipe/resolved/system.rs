//! What a recipe says of the system that an image is: its names, its root, its kernel modules.

use crate::recipe::matching::glob;

/// The settings of a whole system.
#[derive(Clone, Debug, Default)]
pub struct System {
    /// `None` leaves it to the first boot.
    pub machine_id: Option<MachineId>,
    pub locale: Option<String>,
    pub locale_messages: Option<String>,
    pub keymap: Option<String>,
    pub timezone: Option<String>,
    pub hostname: Option<String>,
    pub root_password: Option<RootPassword>,
    pub root_shell: Option<String>,
    /// Whether consoles log root in without a password.
    pub autologin: bool,
    pub kernel_modules: FileChoice,
    pub firmware: FileChoice,
}

/// The machine id of an image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MachineId {
    /// 32 hexadecimal digits.
    Given(String),
    /// Any; builds repeat, so it is made of the recipe.
    OfRecipe,
}

/// The password of root.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RootPassword {
    Plain(String),
    /// As crypt(5) writes it.
    Hashed(String),
}

/// Which of many files stay, by patterns in order: the last that matches decides, and `-` before it drops what it
/// matches.
#[derive(Clone, Debug, Default)]
pub struct FileChoice {
    patterns: Vec<FilePattern>,
}

#[derive(Clone, Debug)]
struct FilePattern {
    keeps: bool,
    pattern: String,
}

impl FileChoice {
    /// Returns the choice of these patterns.
    pub fn new<P: AsRef<str>>(patterns: impl IntoIterator<Item = P>) -> Self {
        let pattern = |text: P| {
            let (keeps, pattern) = match text.as_ref().strip_prefix('-') {
                Some(dropped) => (false, dropped),
                None => (true, text.as_ref()),
            };
            // A directory stands for what is below it.
            let below = if pattern.ends_with('/') { "*" } else { "" };
            FilePattern {
                keeps,
                pattern: format!("{pattern}{below}"),
            }
        };
        Self {
            patterns: patterns.into_iter().map(pattern).collect(),
        }
    }

    /// Tells whether there is nothing to choose by.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Returns whether the file `name`, a relative path, is to stay; `None` when no pattern says anything of it.
    pub fn keeps(&self, name: &str) -> Option<bool> {
        let last = self
            .patterns
            .iter()
            .rev()
            .find(|pattern| pattern.matches(name));
        last.map(|pattern| pattern.keeps)
    }

    /// Returns the choice for names in which `-` stands for `_` as well, as in those of kernel modules.
    #[must_use]
    pub fn with_hyphens(mut self) -> Self {
        for pattern in &mut self.patterns {
            let mut in_class = false;
            let hyphened = pattern.pattern.chars().map(|character| {
                in_class = (in_class || character == '[') && character != ']';
                match character {
                    '_' if !in_class => '-',
                    other => other,
                }
            });
            pattern.pattern = hyphened.collect();
        }
        self
    }
}

impl FilePattern {
    /// A pattern with a slash at its start is one from the top, where most modules lie in `kernel/`; with one inside it
    /// is the end of a path, else a name.
    fn matches(&self, name: &str) -> bool {
        let pattern = self.pattern.as_str();
        let path = format!("/{name}");
        if pattern.starts_with('/')
            && (glob(&format!("/kernel{pattern}"), &path) || glob(pattern, &path))
        {
            return true;
        }
        if pattern.contains('/') && glob(&format!("*/{pattern}"), &path) {
            return true;
        }
        let last = name.rsplit('/').next().unwrap_or(name);
        glob(pattern, last)
    }
}

#[cfg(test)]
mod tests {
    use super::FileChoice;

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let choice = FileChoice::new(["/fs/ext4/", "crypto/", "-/drivers/crypto/", "virtio*"]);
        for (name, expected) in [
            ("kernel/fs/ext4/ext4", Some(true)),
            ("fs/ext4/ext4", Some(true)),
            ("kernel/crypto/sha1", Some(true)),
            ("kernel/arch/x86/crypto/aesni", Some(true)),
            ("kernel/drivers/crypto/ccp/ccp", Some(false)),
            ("kernel/drivers/virtio/virtio-pci", Some(true)),
            ("kernel/fs/xfs/xfs", None),
            ("kernel/fs/ext4", None),
        ] {
            assert_eq!(choice.keeps(name), expected, "{name}");
        }
    }

    #[test]
    fn underscores_are_hyphens_but_not_in_classes() {
        let choice = FileChoice::new(["virtio_[_a]b", "dm_mod"]).with_hyphens();
        assert_eq!(choice.keeps("x/dm-mod"), Some(true));
        assert_eq!(choice.keeps("virtio-_b"), Some(true));
        assert_eq!(choice.keeps("virtio--b"), None);
    }

    #[test]
    fn no_pattern_says_nothing() {
        let choice = FileChoice::default();
        assert!(choice.is_empty());
        assert_eq!(choice.keeps("a"), None);
    }
}
