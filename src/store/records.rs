//! What was built the last time, for builds to tell whether anything has changed.

use std::io::Write;

use openssl::sha::Sha256;
use rustix::fs::Mode;

use super::{Error, Staging, Store, own_directory};
use crate::beneath;
use crate::digest::hexadecimal;
use crate::plan::Key;

/// A record of a million files has half of it.
const LIMIT_BYTES: u64 = 512 << 20;

impl Store {
    /// Returns what was kept for `key`, `None` when nothing is or it cannot be read.
    pub fn record(&self, key: &Key) -> Option<Vec<u8>> {
        let records = own_directory(&self.root, super::RECORDS).ok()?;
        records.read(name_of(key), LIMIT_BYTES).ok()?
    }

    /// Keeps `text` for `key`, in place of what was there.
    ///
    /// # Errors
    /// [`Error::KeepRecord`] when it cannot be written.
    pub fn keep_record(&self, key: &Key, text: &[u8], staging: &Staging) -> Result<(), Error> {
        let records = own_directory(&self.root, super::RECORDS)?;
        let name = name_of(key);
        let failed = |source| Error::KeepRecord {
            path: records.path_of(&name),
            source,
        };
        let not_kept = |error: beneath::Error| failed(error.into());
        staging
            .directory()
            .create_file(&name, Mode::from_raw_mode(0o600))
            .map_err(not_kept)?
            .write_all(text)
            .map_err(failed)?;
        staging
            .directory()
            .rename(&name, &records, &name)
            .map_err(not_kept)
    }

    /// Removes what was kept for `key`.
    ///
    /// # Errors
    /// [`Error::KeepRecord`] when something is there and cannot be removed.
    pub fn forget_record(&self, key: &Key) -> Result<(), Error> {
        let records = own_directory(&self.root, super::RECORDS)?;
        let name = name_of(key);
        match records.remove_file(&name) {
            Err(error) if error.is_not_found() => Ok(()),
            done => done.map_err(|error| Error::KeepRecord {
                path: records.path_of(&name),
                source: error.into_cause(),
            }),
        }
    }

    /// Returns what tells the repository metadata of `key`, one of [`Self::repository_metadata`], from older and newer;
    /// `None` when there is none.
    pub fn metadata_stamp(&self, key: &str) -> Option<String> {
        let metadata = self.root.subdirectory("metadata").ok()?;
        let lists = metadata
            .subdirectory(key)
            .ok()?
            .subdirectory("lists")
            .ok()?;
        let mut names = lists.names().ok()?;
        names.sort();
        let mut digest = Sha256::new();
        for name in names {
            let status = lists.status(&name).ok()??;
            // apt gives a list the time that its mirror has for it; others change whenever somebody looks.
            if status.stx_mode & 0o170_000 == 0o100_000 && status.stx_size > 0 {
                digest.update(&name);
                digest.update(&[0]);
                digest.update(&status.stx_size.to_le_bytes());
                digest.update(&status.stx_mtime.tv_sec.to_le_bytes());
            }
        }
        Some(hexadecimal(&digest.finish()))
    }
}

fn name_of(key: &Key) -> String {
    format!("{key}.json")
}
