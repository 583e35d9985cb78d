//! Digests as people and formats write them.

use std::fs::File;
use std::io::Read;

use openssl::sha::Sha256;

/// Returns `bytes` as lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        })
}

/// Returns the SHA-256 digest of a file's content, in lower-case hexadecimal.
pub(crate) fn sha256_of_file(mut file: File) -> std::io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&digest.finish())),
            count => digest.update(&buffer[..count]),
        }
    }
}
