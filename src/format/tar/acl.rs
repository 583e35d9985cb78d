//! Access control lists as text, the form that GNU tar gives to acl_from_text(3).

use super::accounts::Accounts;

/// The version of the attribute's layout (`POSIX_ACL_XATTR_VERSION`, linux/posix_acl_xattr.h).
const VERSION: u32 = 2;

/// Returns the text of the value of a `system.posix_acl_*` attribute, with numbers for ids; `None` when it is not one.
pub(super) fn acl_text(value: &[u8]) -> Option<String> {
    let (version, entries) = value.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != VERSION || entries.len() % 8 != 0 {
        return None;
    }
    let mut lines = Vec::new();
    for entry in entries.chunks_exact(8) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let permissions = u16::from_le_bytes([entry[2], entry[3]]);
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        // ACL_USER_OBJ and its kin.
        let who = match tag {
            0x01 => "user:".to_owned(),
            0x02 => format!("user:{id}"),
            0x04 => "group:".to_owned(),
            0x08 => format!("group:{id}"),
            0x10 => "mask:".to_owned(),
            0x20 => "other:".to_owned(),
            _ => return None,
        };
        let letter = |bit: u16, letter: char| match permissions & bit {
            0 => '-',
            _ => letter,
        };
        let (read, write, execute) = (letter(4, 'r'), letter(2, 'w'), letter(1, 'x'));
        lines.push(format!("{who}:{read}{write}{execute}"));
    }
    Some(lines.join("\n"))
}

/// Returns the value of a `system.posix_acl_*` attribute of its text; `None` when it is none.
///
/// The entries stand in lines or between commas, have letters or their first ones, and may end in an id (star, libarchive).
/// A name without an id is looked up in `accounts`; nobody of that name makes the text none.
pub(super) fn acl_value(text: &[u8], accounts: &Accounts) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut entries = Vec::new();
    for entry in text.split(['\n', ',']) {
        // What follows `#` is for people.
        let entry = entry.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        let fields: Vec<&str> = entry.split(':').collect();
        let (who, name, letters) = match fields[..] {
            [who @ ("mask" | "m" | "other" | "o"), letters] => (who, "", letters),
            [who, name, letters] => (who, name, letters),
            [who, _, letters, id] => (who, id, letters),
            _ => return None,
        };
        let id = match name {
            "" => u32::MAX,
            name => match name.parse() {
                Ok(id) => id,
                Err(_) if who.starts_with('u') => accounts.user(name.as_bytes())?,
                Err(_) => accounts.group(name.as_bytes())?,
            },
        };
        let tag: u16 = match (who, name.is_empty()) {
            ("user" | "u", true) => 0x01,
            ("user" | "u", false) => 0x02,
            ("group" | "g", true) => 0x04,
            ("group" | "g", false) => 0x08,
            ("mask" | "m", true) => 0x10,
            ("other" | "o", true) => 0x20,
            _ => return None,
        };
        let permissions = letters.trim().bytes().try_fold(0_u16, |bits, letter| {
            Some(
                bits | match letter {
                    b'r' => 4,
                    b'w' => 2,
                    b'x' => 1,
                    b'-' => 0,
                    _ => return None,
                },
            )
        })?;
        entries.push((tag, id, permissions));
    }
    // The order in which the kernel wants them.
    entries.sort_unstable();
    let mut value = VERSION.to_le_bytes().to_vec();
    for (tag, id, permissions) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::super::accounts::Accounts;
    use super::acl_text;

    fn acl_value(text: &[u8]) -> Option<Vec<u8>> {
        let mut accounts = Accounts::default();
        accounts.add_users(b"mail:x:8:8::/:\n");
        accounts.add_groups(b"tty:x:5:\n");
        super::acl_value(text, &accounts)
    }

    #[test]
    fn names_without_numbers_are_those_of_the_accounts() {
        let named = acl_value(b"user::rwx\nuser:mail:r--\ngroup:tty:-w-");
        let numbered = acl_value(b"user::rwx\nuser:8:r--\ngroup:5:-w-");
        assert!(named.is_some());
        assert_eq!(named, numbered);
    }

    #[test]
    fn text_of_any_producer_is_the_same_list() {
        let ours = "user::rwx\nuser:1000:r--\ngroup::r-x\ngroup:5:-w-\nmask::rwx\nother::---";
        let value = acl_value(ours.as_bytes()).unwrap();
        assert_eq!(acl_text(&value).unwrap(), ours);
        let theirs = "user::rwx,group::r-x,mask:rwx,other::---,user:joe:r--:1000,group:tty:-w-:5\n#effective";
        assert_eq!(acl_value(theirs.as_bytes()), Some(value));
        for text in [
            "user:joe:rwx",
            "user::rwz",
            "who::r--",
            "mask:5:r--",
            "user",
            "\u{e9}",
        ] {
            assert_eq!(acl_value(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn entries_are_lines_with_numbers_for_ids() {
        let mut value = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in [
            (0x01_u16, 7_u16, u32::MAX),
            (0x02, 4, 1000),
            (0x04, 5, u32::MAX),
            (0x08, 2, 5),
            (0x10, 7, u32::MAX),
            (0x20, 0, u32::MAX),
        ] {
            value.extend(tag.to_le_bytes());
            value.extend(permissions.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        assert_eq!(
            acl_text(&value).unwrap(),
            "user::rwx\nuser:1000:r--\ngroup::r-x\ngroup:5:-w-\nmask::rwx\nother::---"
        );
    }

    #[test]
    fn other_bytes_are_no_list() {
        for value in [&b""[..], &[2, 0, 0], &[3, 0, 0, 0], &[2, 0, 0, 0, 1]] {
            assert_eq!(acl_text(value), None);
        }
    }
}
