//! The names of all system calls, from `calls.txt`.

/// What is known about a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Known {
    /// A call of this architecture, with its number.
    Native(u32),
    /// A call that only other architectures have; their programs are killed.
    Foreign,
}

/// Returns every name.
pub(super) fn all() -> impl Iterator<Item = (&'static str, Known)> {
    include_str!("calls.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split(' ');
            let name = words.next().expect("a split has a first part");
            let column = if cfg!(target_arch = "x86_64") { 0 } else { 1 };
            let number = words.nth(column).and_then(|word| word.parse().ok());
            (name, number.map_or(Known::Foreign, Known::Native))
        })
}

/// Returns what is known about `name`, `None` when it is no system call's, or one's that is newer than this table.
pub(super) fn find(name: &str) -> Option<Known> {
    all()
        .find(|(known, _)| *known == name)
        .map(|(_, known)| known)
}
