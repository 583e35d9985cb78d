//! Access control lists as text, the form that GNU tar gives to acl_from_text(3).

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

#[cfg(test)]
mod tests {
    use super::acl_text;

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
