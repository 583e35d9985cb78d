//! Reads a `directory` output with none of the program's own code, by the table of records that
//! `sandbox/src/ownership/attributes.rs` documents.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::io::Errno;

/// What an image has, by path.
pub(super) type Tree = BTreeMap<String, Node>;

/// One entry of an image, as the image's own kernel would show it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Node {
    pub(super) kind: &'static str,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds and nanoseconds.
    pub(super) modified: (i64, i64),
    /// How many names it has, and the first of them; directories have one.
    pub(super) links: Option<(u64, String)>,
    pub(super) device: Option<String>,
    pub(super) target: Option<String>,
    /// Size in bytes and SHA-256.
    pub(super) content: Option<(u64, [u8; 32])>,
    pub(super) attributes: BTreeMap<String, String>,
}

impl Node {
    /// Returns everything that can differ, by name.
    pub(super) fn fields(&self) -> BTreeMap<&str, String> {
        let mut fields = BTreeMap::from([
            ("type", self.kind.to_owned()),
            ("mode", format!("{:04o}", self.mode)),
            ("uid", self.uid.to_string()),
            ("gid", self.gid.to_string()),
            (
                "time",
                format!("{}.{:09}", self.modified.0, self.modified.1),
            ),
        ]);
        if let Some((count, first)) = &self.links {
            fields.insert("links", format!("{count} with {first}"));
        }
        if let Some(device) = &self.device {
            fields.insert("device", device.clone());
        }
        if let Some(target) = &self.target {
            fields.insert("target", target.clone());
        }
        if let Some((size_bytes, digest)) = &self.content {
            fields.insert(
                "content",
                format!("{size_bytes} bytes {}", hexadecimal(&digest[..6])),
            );
        }
        let attributes = self.attributes.iter();
        fields.extend(attributes.map(|(name, value)| (name.as_str(), value.clone())));
        fields
    }
}

/// Reads what is at and below `root`, the top directory of an output.
pub(super) fn read(root: &Path) -> Tree {
    let builder = fs_err::symlink_metadata(root).unwrap().uid();
    let mut reader = Reader {
        builder,
        first_names: HashMap::new(),
        tree: Tree::new(),
    };
    reader.add(root, "/".to_owned(), None);
    reader.tree
}

struct Reader {
    /// Who owns the output on disk, and so stands for the image's root in ACLs and capabilities of the kernel.
    builder: u32,
    /// By device and inode number.
    first_names: HashMap<(u64, u64), String>,
    tree: Tree,
}

type Owner = (u32, u32);

impl Reader {
    /// Adds an entry and what is below it. `recorded` is its owner in the record of its directory.
    fn add(&mut self, path: &Path, name: String, recorded: Option<Owner>) {
        let metadata = fs_err::symlink_metadata(path).unwrap();
        assert_eq!(metadata.uid(), self.builder, "the owner of {name} on disk");
        let file_type = metadata.file_type();
        let mut node = Node {
            mode: metadata.mode() & 0o7777,
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            ..Node::default()
        };
        if file_type.is_file() || file_type.is_dir() {
            make_readable(path, &metadata);
        }
        let mut attributes = attributes(path);
        if file_type.is_dir() {
            node.kind = "directory";
        } else {
            let inode = (metadata.dev(), metadata.ino());
            let first = self
                .first_names
                .entry(inode)
                .or_insert_with(|| name.clone());
            node.links = Some((metadata.nlink(), first.clone()));
            if file_type.is_symlink() {
                node.kind = "symbolic link";
                let target = fs_err::read_link(path).unwrap();
                node.target = Some(target.to_string_lossy().into_owned());
            } else if file_type.is_fifo() {
                node.kind = "FIFO";
            } else if file_type.is_socket() {
                node.kind = "socket";
            } else if let Some(device) = attributes.remove("user.overcoat.device") {
                assert_eq!(metadata.len(), 0, "the placeholder {name}");
                (node.kind, node.device) = device_of(&device);
            } else {
                assert!(file_type.is_file(), "{name} is a real device");
                node.kind = "file";
                let digest = openssl::sha::sha256(&fs_err::read(path).unwrap());
                node.content = Some((metadata.len(), digest));
            }
        }
        let own = attributes.remove("user.overcoat.owner");
        (node.uid, node.gid) = own.map_or(recorded.unwrap_or_default(), |value| owner_of(&value));
        let entries = attributes.remove("user.overcoat.entries");
        if let Some(mode) = attributes.remove("user.overcoat.mode") {
            node.mode = u32::from_str_radix(std::str::from_utf8(&mode).unwrap(), 8).unwrap();
        }
        node.attributes = self.translated(&name, attributes);
        self.tree.insert(name.clone(), node);
        if file_type.is_dir() {
            let entries = entries.map(|value| owners_of(&value)).unwrap_or_default();
            self.add_entries(path, &name, &entries);
        }
    }

    fn add_entries(&mut self, path: &Path, name: &str, owners: &BTreeMap<Vec<u8>, Owner>) {
        let entries = fs_err::read_dir(path).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        for below in names {
            let text = format!("{}/{}", name.trim_end_matches('/'), below.to_string_lossy());
            let recorded = owners.get(below.as_bytes()).copied();
            self.add(&path.join(&below), text, recorded);
        }
    }

    /// Returns the image's attributes as text, each from the kernel's own or from the record that stands for it.
    fn translated(
        &self,
        name: &str,
        attributes: BTreeMap<String, Vec<u8>>,
    ) -> BTreeMap<String, String> {
        let mut translated = BTreeMap::new();
        for (attribute, value) in attributes {
            let (attribute, text) = match attribute.as_str() {
                "user.overcoat.acl.access" => ("system.posix_acl_access", acl_of(&value, None)),
                "user.overcoat.acl.default" => ("system.posix_acl_default", acl_of(&value, None)),
                "user.overcoat.capability" => ("security.capability", capability_of(&value, None)),
                real if real.starts_with("system.posix_acl_") => {
                    (real, acl_of(&value, Some(self.builder)))
                }
                "security.capability" => (
                    "security.capability",
                    capability_of(&value, Some(self.builder)),
                ),
                other => (other, hexadecimal(&value)),
            };
            assert!(
                !attribute.starts_with("user.overcoat."),
                "{attribute} on {name}"
            );
            let earlier = translated.insert(attribute.to_owned(), text);
            assert_eq!(earlier, None, "{attribute} is set and recorded on {name}");
        }
        translated
    }
}

/// Lets the owner read a file that its mode closes: the attributes of the user, too, are read by permission.
fn make_readable(path: &Path, metadata: &std::fs::Metadata) {
    let needed = if metadata.is_dir() { 0o500 } else { 0o400 };
    if metadata.mode() & needed != needed && !crate::require::is_root() {
        let mode = metadata.mode() & 0o7777 | needed;
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// Returns all extended attributes of a file that is not followed.
fn attributes(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0_u8; 1 << 16];
    let length = rustix::fs::llistxattr(path, &mut names).unwrap();
    let names = names[..length].split(|&byte| byte == 0);
    let mut attributes = BTreeMap::new();
    for name in names.filter(|name| !name.is_empty()) {
        let mut value = vec![0_u8; 1 << 16];
        match rustix::fs::lgetxattr(path, name, &mut value) {
            Ok(length) => value.truncate(length),
            // Modules of the kernel list attributes that they do not hold.
            Err(Errno::NODATA) => continue,
            Err(errno) => panic!("{}: {errno}", path.display()),
        }
        let name = String::from_utf8(name.to_vec()).unwrap();
        // The host's own labels say nothing of the image.
        if name != "security.selinux" {
            attributes.insert(name, value);
        }
    }
    attributes
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().unwrap())
}

fn owner_of(value: &[u8]) -> Owner {
    assert_eq!(value.len(), 8);
    (number(&value[..4]), number(&value[4..]))
}

fn owners_of(mut value: &[u8]) -> BTreeMap<Vec<u8>, Owner> {
    let mut owners = BTreeMap::new();
    while !value.is_empty() {
        let end = 9 + usize::from(value[8]);
        owners.insert(value[9..end].to_vec(), owner_of(&value[..8]));
        value = &value[end..];
    }
    owners
}

fn device_of(value: &[u8]) -> (&'static str, Option<String>) {
    let (kind, numbers) = std::str::from_utf8(value).unwrap().split_once(' ').unwrap();
    let kind = match kind {
        "c" => "character device",
        "b" => "block device",
        other => panic!("a device of type {other}"),
    };
    (kind, Some(numbers.to_owned()))
}

/// Returns an ACL in setfacl's short form (acl(5), linux/posix_acl_xattr.h).
fn acl_of(value: &[u8], builder: Option<u32>) -> String {
    assert_eq!(number(&value[..4]), 2, "the version of an ACL");
    let entries = value[4..].chunks(8).map(|entry| {
        let (tag, permissions) = (u16::from_le_bytes([entry[0], entry[1]]), entry[2]);
        let id = number(&entry[4..]);
        let id = if Some(id) == builder { 0 } else { id };
        let who = match tag {
            0x01 => "u:".to_owned(),
            0x02 => format!("u:{id}"),
            0x04 => "g:".to_owned(),
            0x08 => format!("g:{id}"),
            0x10 => "m:".to_owned(),
            0x20 => "o:".to_owned(),
            other => panic!("an ACL entry with the tag {other}"),
        };
        let letters = [(4, 'r'), (2, 'w'), (1, 'x')];
        let permissions: String = letters
            .map(|(bit, letter)| if permissions & bit != 0 { letter } else { '-' })
            .iter()
            .collect();
        format!("{who}:{permissions}")
    });
    entries.collect::<Vec<_>>().join(",")
}

/// Returns the sets of a file capability (capabilities(7), linux/capability.h), and the user namespace it is bound to
/// unless that is one of the builder.
fn capability_of(value: &[u8], builder: Option<u32>) -> String {
    let words: Vec<u32> = value.chunks(4).map(number).collect();
    let (revision, effective) = (words[0] >> 24, words[0] & 1 == 1);
    let expected_words = if revision == 3 { 6 } else { 5 };
    assert_eq!(
        (words.len(), revision & 2),
        (expected_words, 2),
        "a file capability"
    );
    let set = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    let mut text = format!(
        "permitted {:x} inheritable {:x}",
        set(words[1], words[3]),
        set(words[2], words[4])
    );
    if effective {
        text += " effective";
    }
    if revision == 3 && Some(words[5]) != builder {
        text += &format!(" of {}", words[5]);
    }
    text
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
