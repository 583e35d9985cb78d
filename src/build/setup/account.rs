//! The account of root, and the days in the file of passwords.

use super::{crypt, files};
use crate::build::Error;
use crate::build::finish::path;
use crate::recipe::{Format, Recipe, RootPassword};
use crate::tree::{Content, ContentError, EntryKind, FileTree, Timestamp};

const PASSWD: &str = "etc/passwd";
const SHADOW: &str = "etc/shadow";
const CREDENTIALS: &str = "usr/lib/credstore";
const SECONDS_OF_DAY: i64 = 24 * 60 * 60;

/// The fields of a line of passwd(5) and shadow(5).
const PASSWORD: usize = 1;
const SHELL: usize = 6;
const LAST_CHANGE: usize = 2;

/// A larger file is no list of accounts.
const LIST_LIMIT_BYTES: u64 = 16 << 20;

/// Gives root the password and the shell of the recipe, and leaves what the recipe says for the first boot of a system
/// that starts with an empty `/etc` (systemd.system-credentials(7)).
pub(super) fn set_up_root(
    tree: &mut FileTree,
    recipe: &Recipe,
    time: Timestamp,
) -> Result<(), Error> {
    let system = &recipe.system;
    let password = system
        .root_password
        .as_ref()
        .map(|password| match password {
            RootPassword::Hashed(hash) => hash.clone(),
            RootPassword::Plain(text) if text.is_empty() => String::new(),
            RootPassword::Plain(text) => crypt::sha512crypt(text.as_bytes(), &salt(recipe)),
        });
    if let Some(hash) = &password {
        let day = days(time).to_string();
        let fields = [(PASSWORD, hash.as_str()), (LAST_CHANGE, day.as_str())];
        let missing = format!("root:{hash}:{day}:0:99999:7:::");
        change_root(tree, SHADOW, &fields, Some((&missing, 0o600)), time)?;
        change_root(tree, PASSWD, &[(PASSWORD, "x")], None, time)?;
    }
    if let Some(shell) = &system.root_shell {
        change_root(tree, PASSWD, &[(SHELL, shell)], None, time)?;
    }
    // An initrd always has its own `/etc`.
    if recipe.make_initrd && recipe.format == Format::Cpio {
        return Ok(());
    }
    let credentials = [
        ("firstboot.keymap", &system.keymap),
        ("firstboot.locale", &system.locale),
        ("firstboot.locale-messages", &system.locale_messages),
        ("firstboot.timezone", &system.timezone),
        ("passwd.hashed-password.root", &password),
        ("passwd.shell.root", &system.root_shell),
    ];
    for (name, value) in credentials {
        if let Some(value) = value {
            let mode = if name.contains("password") {
                0o600
            } else {
                0o644
            };
            files::add(tree, &format!("{CREDENTIALS}/{name}"), value, mode, time)?;
        }
    }
    Ok(())
}

/// Returns the salt of the image's passwords. It is not made of the password, which the hash would then give away at the
/// price of one digest.
fn salt(recipe: &Recipe) -> String {
    crypt::salt(&files::digest_of(recipe, "password of root"))
}

/// Changes fields of root's line; `missing` is the line and the mode of a file that is not there.
fn change_root(
    tree: &mut FileTree,
    name: &str,
    fields: &[(usize, &str)],
    missing: Option<(&str, u16)>,
    time: Timestamp,
) -> Result<(), Error> {
    if tree.get(&path(name)).is_none() {
        if let (Some((line, mode)), Some(_)) = (missing, tree.get(&path("etc"))) {
            files::add(tree, name, format!("{line}\n"), mode, time)?;
        }
        return Ok(());
    }
    change_lines(tree, name, time, |line| {
        if line.first().map(String::as_str) != Some("root") {
            return;
        }
        for (index, value) in fields {
            if line.len() <= *index {
                line.resize(index + 1, String::new());
            }
            line[*index] = (*value).to_owned();
        }
    })?;
    Ok(())
}

/// Lowers days in the file of passwords that are after the build's: tools write down when they ran.
pub(super) fn clamp_days(tree: &mut FileTree, time: Timestamp) -> Result<(), ContentError> {
    let latest = days(time);
    for name in [SHADOW, "etc/shadow-"] {
        change_lines(tree, name, time, |line| {
            let day = line.get_mut(LAST_CHANGE);
            if let Some(day) = day.filter(|day| day.parse().is_ok_and(|day: i64| day > latest)) {
                *day = latest.to_string();
            }
        })?;
    }
    Ok(())
}

fn days(time: Timestamp) -> i64 {
    time.seconds / SECONDS_OF_DAY
}

/// Changes the lines of a file, each split into its fields; a file that is none of text, or none at all, stays.
fn change_lines(
    tree: &mut FileTree,
    name: &str,
    time: Timestamp,
    mut change: impl FnMut(&mut Vec<String>),
) -> Result<(), ContentError> {
    let Some(entry) = tree.get_mut(&path(name)) else {
        return Ok(());
    };
    let EntryKind::Regular(content) = &entry.kind else {
        return Ok(());
    };
    if content.size_bytes() > LIST_LIMIT_BYTES {
        return Ok(());
    }
    let Ok(text) = String::from_utf8(content.read_all()?) else {
        return Ok(());
    };
    let lines = text.lines().map(|line| {
        let mut fields: Vec<String> = line.split(':').map(str::to_owned).collect();
        change(&mut fields);
        format!("{}\n", fields.join(":"))
    });
    let changed: String = lines.collect();
    if changed != text {
        entry.kind = EntryKind::Regular(Content::from_bytes(changed.into_bytes()));
        entry.modified = time;
        entry.hard_link = None;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
