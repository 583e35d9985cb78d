//! Stacking layers: what overlayfs with `userxattr` shows of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use overcoat_sandbox::ownership::attributes::Owner;
use rustix::fs::FileType;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Error;
use super::disk::{Inode, OpenDirectory};
use super::inode::{carries_records, read_entry};
use super::owners::Ids;
use crate::beneath::{self, Directory, InodeNumber};
use crate::tree::{
    Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath, number_hard_links,
};

/// A directory that is one layer of a tree, lower or upper.
#[derive(Clone, Debug)]
pub struct LayerDirectory {
    pub path: PathBuf,
    /// Owners that the sandbox recorded beside the layer, all of them: an entry of the layer without one is root's,
    /// whoever owns the same name below. Overlayfs leaves no mark on a link that it copied up (`user.*` is refused
    /// there), so that on disk one that was moved, one that was given to root and one that was made anew are the same.
    /// A record of a name that is not in the layer, or of a file or directory, which carries its own, is ignored.
    pub entry_owners: Vec<EntryOwner>,
}

/// The owner of an entry that cannot carry an attribute: a symbolic link, FIFO, socket or device.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct EntryOwner {
    pub path: TreePath,
    pub uid: u32,
    pub gid: u32,
}

/// What layers hold, and what they hide of whatever lies below them.
#[derive(Debug, Default)]
pub(super) struct Stacked {
    /// The root is always there.
    pub(super) entries: BTreeMap<TreePath, Entry>,
    pub(super) whiteouts: BTreeSet<TreePath>,
    /// Directories through which nothing from below shows.
    pub(super) opaque: BTreeSet<TreePath>,
}

/// Returns the tree that overlayfs (`userxattr`) shows of `layers`, lowest first, as the image is to have it.
///
/// Whiteouts and opaque directories are honoured and gone. Owners, devices and ACLs that the sandbox recorded are in
/// place, `security.capability` is not bound to a user namespace, and of the attributes only `user.*`, ACLs and file
/// capabilities remain. Names are hard links of each other when they share an inode of one layer. An owner without a
/// record is root when that is us, and is refused when its number means nothing here. No layer gives an empty root.
///
/// # Errors
/// An [`Error`] that names the path: it cannot be read, is a mount point, belongs to somebody else, or bears a corrupt
/// record.
pub fn merge(layers: &[LayerDirectory]) -> Result<FileTree, Error> {
    Ok(into_tree(stack(layers)?))
}

/// As [`merge`], of one open directory.
///
/// # Errors
/// As [`merge`].
pub fn merge_directory(directory: Directory) -> Result<FileTree, Error> {
    let layer = Layer {
        root: Arc::new(directory),
        recorded: HashMap::new(),
    };
    Ok(into_tree(Walk::over(vec![layer])?.stack()?))
}

fn into_tree(stacked: Stacked) -> FileTree {
    let mut entries = stacked.entries;
    number_hard_links(entries.values_mut());
    let root = entries
        .remove(&TreePath::root())
        .unwrap_or_else(|| Entry::directory(Timestamp::default()));
    tree_of(root, entries)
}

/// Returns who owns the symbolic links, FIFOs and sockets of a tree, sorted by path: what these cannot tell whoever sees
/// them in its layers. What is root's is left out.
pub fn entry_owners(tree: &FileTree) -> Vec<EntryOwner> {
    let owned = tree.iter().filter(|(_, entry)| {
        let carries_none = matches!(
            entry.kind,
            EntryKind::Symlink(_) | EntryKind::Fifo | EntryKind::Socket
        );
        carries_none && (entry.uid, entry.gid) != (0, 0)
    });
    let owner = |(path, entry): (&TreePath, &Entry)| EntryOwner {
        path: path.clone(),
        uid: entry.uid,
        gid: entry.gid,
    };
    owned.map(owner).collect()
}

/// Makes a tree of entries of which each one's parent is a directory.
pub(super) fn tree_of(root: Entry, entries: BTreeMap<TreePath, Entry>) -> FileTree {
    let mut tree = FileTree::new(root).expect("the root of a layer is a directory");
    for (path, entry) in entries {
        tree.insert(path, entry)
            .expect("an entry is kept only with its parent directories");
    }
    tree
}

/// Stacks `layers`, lowest first.
pub(super) fn stack(layers: &[LayerDirectory]) -> Result<Stacked, Error> {
    let layers = layers.iter().map(Layer::open).collect::<Result<_, _>>()?;
    Walk::over(layers)?.stack()
}

struct Layer {
    root: Arc<Directory>,
    recorded: HashMap<InodeNumber, Owner>,
}

/// A directory of the result and the layers, topmost first, whose directories there make it up.
struct Pending {
    path: TreePath,
    layers: Vec<usize>,
}

struct Walk {
    layers: Vec<Layer>,
    ids: Ids,
    stacked: Stacked,
    /// The first name seen of each inode that has more, by layer.
    linked: HashMap<(usize, InodeNumber), Entry>,
}

impl Walk {
    fn over(layers: Vec<Layer>) -> Result<Self, Error> {
        let ids = Ids::of_this_process().map_err(|source| Error::ReadIdMapping { source })?;
        Ok(Self {
            layers,
            ids,
            stacked: Stacked::default(),
            linked: HashMap::new(),
        })
    }

    fn stack(mut self) -> Result<Stacked, Error> {
        // Directories are reopened by path when their turn comes, so the number of open descriptors does not depend on
        // how deep untrusted code nests them.
        let mut pending = Vec::new();
        if let Some(root) = self.visit_root()? {
            pending.push(root);
        }
        while let Some(directory) = pending.pop() {
            self.visit(&directory, &mut pending)?;
        }
        Ok(self.stacked)
    }

    /// Enters the root, which is made of every layer's: overlayfs heeds no opaque mark there.
    fn visit_root(&mut self) -> Result<Option<Pending>, Error> {
        let Some(top) = self.layers.len().checked_sub(1) else {
            return Ok(None);
        };
        let root = &self.layers[top].root;
        let inode = Inode::open(root, TreePath::root()).map_err(unopened)?;
        let entry = read_entry(&inode, &self.ids, None)?;
        self.stacked.entries.insert(TreePath::root(), entry);
        Ok(Some(Pending {
            path: TreePath::root(),
            layers: (0..=top).rev().collect(),
        }))
    }

    fn visit(&mut self, directory: &Pending, pending: &mut Vec<Pending>) -> Result<(), Error> {
        let mut opened = Vec::with_capacity(directory.layers.len());
        let mut names: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
        for (position, layer) in directory.layers.iter().enumerate() {
            let open = OpenDirectory::open(&self.layers[*layer].root, &directory.path)?;
            for name in open.names()? {
                names.entry(name).or_default().push(position);
            }
            opened.push((*layer, open));
        }
        for (name, positions) in names {
            let candidates = positions.iter().map(|position| &opened[*position]);
            let subdirectory = self.visit_name(&name, candidates)?;
            pending.extend(subdirectory);
        }
        Ok(())
    }

    /// Adds the entry `name` of the topmost of `candidates`, and returns it when it is a directory.
    fn visit_name<'a>(
        &mut self,
        name: &[u8],
        mut candidates: impl Iterator<Item = &'a (usize, OpenDirectory)>,
    ) -> Result<Option<Pending>, Error> {
        let Some((layer, directory)) = candidates.next() else {
            return Ok(None);
        };
        let inode = directory.inode(name)?;
        let path = inode.path().clone();
        if inode.is_whiteout(directory.marked_whiteouts)? {
            self.stacked.whiteouts.insert(path);
            return Ok(None);
        }
        let entry = self.read(*layer, &inode, directory.entry_owners.get(name))?;
        self.stacked.entries.insert(path.clone(), entry);
        if inode.file_type() != FileType::Directory {
            return Ok(None);
        }
        let mut layers = vec![*layer];
        let mut opaque = inode.is_opaque()?;
        for (layer, directory) in candidates {
            if opaque {
                break;
            }
            let inode = directory.inode(name)?;
            if inode.file_type() == FileType::Directory {
                layers.push(*layer);
                opaque = inode.is_opaque()?;
            } else {
                // A whiteout as well as a file ends what a directory above it is merged with.
                opaque = true;
            }
        }
        if opaque {
            self.stacked.opaque.insert(path.clone());
        }
        Ok(Some(Pending { path, layers }))
    }

    fn read(
        &mut self,
        layer: usize,
        inode: &Inode,
        entry_owner: Option<&Owner>,
    ) -> Result<Entry, Error> {
        let number = inode.number();
        let shared = inode.status().stx_nlink > 1 && inode.file_type() != FileType::Directory;
        if shared && let Some(first) = self.linked.get(&(layer, number)) {
            return Ok(first.clone());
        }
        let recorded = self.layers[layer].recorded.get(&number).or(entry_owner);
        let mut entry = read_entry(inode, &self.ids, recorded.copied())?;
        if shared {
            entry.hard_link = Some(HardLinkGroup(self.linked.len() as u64));
            self.linked.insert((layer, number), entry.clone());
        }
        Ok(entry)
    }
}

impl Layer {
    fn open(directory: &LayerDirectory) -> Result<Self, Error> {
        let root = Arc::new(Directory::open(&directory.path).map_err(unopened)?);
        let mut recorded = HashMap::new();
        for record in &directory.entry_owners {
            let inode = match Inode::open(&root, record.path.clone()) {
                Err(error) if is_absent(&error) => continue,
                inode => inode.map_err(unopened)?,
            };
            if !carries_records(inode.file_type()) {
                let owner = Owner {
                    uid: record.uid,
                    gid: record.gid,
                };
                recorded.insert(inode.number(), owner);
            }
        }
        Ok(Self { root, recorded })
    }
}

/// Tells whether the name is not there, or only behind a symbolic link.
fn is_absent(error: &beneath::Error) -> bool {
    const ABSENT: [Errno; 3] = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP];
    error.errno().is_some_and(|errno| ABSENT.contains(&errno))
}

fn unopened(error: beneath::Error) -> Error {
    Error::OpenLayer {
        path: error.path().into(),
        source: error.into(),
    }
}
