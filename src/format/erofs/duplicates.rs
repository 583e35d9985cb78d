//! Finds files with equal contents before they are compressed.
//!
//! Only files of equal lengths are read, and of large ones first their beginnings.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use openssl::sha::Sha256;

use super::error::Error;
use super::node::Node;
use super::work::read_error;
use crate::format::pipeline;
use crate::tree::{Content, EntryKind, TreePath};

/// How much is read at once, and of larger files before anything else is known.
const CHUNK_LENGTH: usize = 64 * 1024;
/// What a worker is given at once: that many files, or that many bytes.
const JOB_FILES: usize = 128;
const JOB_BYTES: u64 = 1 << 20;

type Digest = [u8; 32];

/// Returns for each of `nodes` the first that has the same contents, which may be itself.
///
/// # Errors
/// [`Error::ReadContent`] for a file that cannot be read or has changed its length.
pub(super) fn find(nodes: &[Node<'_>], workers: NonZeroUsize) -> Result<Vec<u32>, Error> {
    let mut originals: Vec<u32> = (0..).take(nodes.len()).collect();
    let mut by_length: HashMap<u64, Vec<u32>> = HashMap::new();
    for (index, node) in (0..).zip(nodes) {
        if node.size_bytes > 0 && matches!(node.tree.entry.kind, EntryKind::Regular(_)) {
            by_length.entry(node.size_bytes).or_default().push(index);
        }
    }
    let candidates = groups(by_length);
    let beginnings = digests(nodes, &candidates, workers, CHUNK_LENGTH as u64)?;
    let is_small = |index: &u32| nodes[*index as usize].size_bytes <= CHUNK_LENGTH as u64;
    let (small, large): (Vec<_>, Vec<_>) = alike(nodes, &candidates, &beginnings)
        .into_iter()
        .partition(|group| is_small(&group[0]));
    note(&small, &mut originals);

    let candidates: Vec<_> = large.into_iter().flatten().collect();
    let contents = digests(nodes, &candidates, workers, u64::MAX)?;
    note(&alike(nodes, &candidates, &contents), &mut originals);
    Ok(originals)
}

/// Returns the members of all groups of more than one, in order.
fn groups<K>(members: HashMap<K, Vec<u32>>) -> Vec<u32> {
    let groups = members.into_values().filter(|group| group.len() > 1);
    let mut found: Vec<_> = groups.flatten().collect();
    found.sort_unstable();
    found
}

/// Returns the groups of `candidates` with equal lengths and digests.
fn alike(nodes: &[Node<'_>], candidates: &[u32], digests: &[Digest]) -> Vec<Vec<u32>> {
    let mut found: HashMap<(u64, Digest), Vec<u32>> = HashMap::new();
    for (index, digest) in candidates.iter().zip(digests) {
        let key = (nodes[*index as usize].size_bytes, *digest);
        found.entry(key).or_default().push(*index);
    }
    found
        .into_values()
        .filter(|group| group.len() > 1)
        .collect()
}

fn note(groups: &[Vec<u32>], originals: &mut [u32]) {
    for group in groups {
        for index in group {
            originals[*index as usize] = group[0];
        }
    }
}

/// Returns the digests of the first `limit_bytes` of each candidate.
fn digests(
    nodes: &[Node<'_>],
    candidates: &[u32],
    workers: NonZeroUsize,
    limit_bytes: u64,
) -> Result<Vec<Digest>, Error> {
    let mut found = Vec::with_capacity(candidates.len());
    let work = |buffer: &mut Vec<u8>, job: &[u32], result: &mut Vec<Result<Digest, Error>>| {
        result.clear();
        result.extend(job.iter().map(|index| {
            let tree = &nodes[*index as usize].tree;
            match &tree.entry.kind {
                EntryKind::Regular(content) => digest(tree.path, content, limit_bytes, buffer),
                _ => Ok(Digest::default()),
            }
        }));
    };
    pipeline::in_order(
        workers,
        jobs(nodes, candidates, limit_bytes),
        || vec![0; CHUNK_LENGTH + 1],
        work,
        |result: &mut Vec<Result<Digest, Error>>| {
            for digest in result.drain(..) {
                found.push(digest?);
            }
            Ok::<_, Error>(())
        },
    )?;
    Ok(found)
}

fn jobs<'c>(
    nodes: &'c [Node<'_>],
    candidates: &'c [u32],
    limit_bytes: u64,
) -> impl Iterator<Item = &'c [u32]> {
    let mut rest = candidates;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let count = rest
            .iter()
            .take(JOB_FILES)
            .take_while(|index| {
                let is_first_or_fits = bytes < JOB_BYTES;
                bytes += nodes[**index as usize].size_bytes.min(limit_bytes);
                is_first_or_fits
            })
            .count();
        let (job, later) = rest.split_at(count);
        rest = later;
        (count > 0).then_some(job)
    })
}

fn digest(
    path: &TreePath,
    content: &Content,
    limit_bytes: u64,
    buffer: &mut [u8],
) -> Result<Digest, Error> {
    let mut digest = Sha256::new();
    let end = content.size_bytes().min(limit_bytes);
    let mut offset = 0;
    while offset < end {
        // The byte more than a chunk is for noticing that a file has grown.
        let room = match content.size_bytes() - offset > CHUNK_LENGTH as u64 {
            true => &mut buffer[..CHUNK_LENGTH],
            false => &mut buffer[..],
        };
        let count = content
            .read_part(offset, room)
            .map_err(|source| read_error(path, source))?;
        digest.update(&room[..count]);
        offset += count as u64;
    }
    Ok(digest.finish())
}
