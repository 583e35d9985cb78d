//! Archives put together by hand, for the tests of the reader.

use std::sync::Arc;

use super::reader::Member;
use super::unpack::{Rules, UnpackError, unpack};
use crate::format::read_at::{ImageBytes, ReadAt};
use crate::tree::{Entry, FileTree, Timestamp};

/// One header and what follows it.
#[derive(Clone)]
pub(super) struct Raw {
    header: [u8; 512],
    body: Vec<u8>,
}

impl Raw {
    pub(super) fn new(name: &str, flag: u8) -> Self {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[156] = flag;
        header[257..265].copy_from_slice(b"ustar\x0000");
        Self {
            header,
            body: Vec::new(),
        }
        .at(100, b"0000644")
        .at(136, b"00000000005")
    }

    pub(super) fn file(name: &str, content: &str) -> Self {
        Self::new(name, b'0').body(content.as_bytes())
    }

    pub(super) fn link(name: &str, flag: u8, target: &str) -> Self {
        Self::new(name, flag).at(157, target.as_bytes())
    }

    /// Returns an extended header.
    pub(super) fn pax(flag: u8, records: &[(&str, &[u8])]) -> Self {
        let mut body = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest..).find(|length| rest + length.to_string().len() == *length);
            body.extend(format!("{} {key}=", length.unwrap()).as_bytes());
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        Self::new("PaxHeaders/x", flag).body(&body)
    }

    pub(super) fn at(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.header[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(super) fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        let size = format!("{:011o}", body.len());
        self.at(124, size.as_bytes())
    }

    /// As [`Self::body`], without saying how long it is.
    pub(super) fn silent_body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.to_vec();
        bytes[148..156].fill(b' ');
        let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
        bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

pub(super) fn joined(members: &[Raw]) -> Vec<u8> {
    members.iter().flat_map(Raw::bytes).collect()
}

pub(super) fn archive(members: &[Raw]) -> Vec<u8> {
    let mut bytes = joined(members);
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

pub(super) fn source(bytes: impl Into<Vec<u8>>) -> Arc<dyn ReadAt> {
    Arc::new(ImageBytes::new(bytes.into()))
}

pub(super) fn empty() -> FileTree {
    FileTree::new(Entry::directory(Timestamp::default())).unwrap()
}

pub(super) fn numeric(member: &Member) -> (u32, u32) {
    (member.uid, member.gid)
}

pub(super) fn unpacked(bytes: impl Into<Vec<u8>>) -> Result<FileTree, UnpackError> {
    let mut tree = empty();
    unpack(&mut tree, &source(bytes), Rules::Archive, &numeric)?;
    Ok(tree)
}
