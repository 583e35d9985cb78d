//! The hash of a password as crypt(5) calls `sha512crypt`.
//!
//! Specification: "Unix crypt using SHA-256 and SHA-512", <https://www.akkadia.org/drepper/SHA-crypt.txt>, whose numbers
//! of steps are quoted.

use openssl::sha::{Sha512, sha512};

/// Rounds when the hash names no number of them.
const ROUNDS: usize = 5000;
pub(super) const SALT_CHARACTERS: usize = 16;
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Hashes `password`. The salt is of [`digits`] and not longer than [`SALT_CHARACTERS`].
pub(super) fn sha512crypt(password: &[u8], salt: &str) -> String {
    let salt_bytes = salt.as_bytes();
    let first = first_digest(password, salt_bytes);
    // Steps 13 to 16.
    let password_sum = sha512(&password.repeat(password.len()));
    let password_bytes = stretched(&password_sum, password.len());
    // Steps 17 to 20.
    let salt_sum = sha512(&salt_bytes.repeat(16 + usize::from(first[0])));
    let salt_stretched = stretched(&salt_sum, salt_bytes.len());
    // Step 21.
    let mut digest = first;
    for round in 0..ROUNDS {
        let mut hash = Sha512::new();
        let odd = round % 2 == 1;
        hash.update(if odd { &password_bytes } else { &digest });
        if round % 3 != 0 {
            hash.update(&salt_stretched);
        }
        if round % 7 != 0 {
            hash.update(&password_bytes);
        }
        hash.update(if odd { &digest } else { &password_bytes });
        digest = hash.finish();
    }
    format!("$6${salt}${}", encoded(&digest))
}

/// Steps 1 to 12.
fn first_digest(password: &[u8], salt: &[u8]) -> [u8; 64] {
    let alternate = sha512(&[password, salt, password].concat());
    let mut hash = Sha512::new();
    hash.update(password);
    hash.update(salt);
    hash.update(&stretched(&alternate, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        hash.update(if bits & 1 == 1 { &alternate } else { password });
        bits >>= 1;
    }
    hash.finish()
}

/// Returns `length` bytes of `digest`, again and again.
fn stretched(digest: &[u8], length: usize) -> Vec<u8> {
    digest.iter().copied().cycle().take(length).collect()
}

/// Step 22 e: three bytes of the digest, in an order of its own, are four digits.
fn encoded(digest: &[u8; 64]) -> String {
    let mut text = String::new();
    let (mut a, mut b, mut c) = (0, 21, 42);
    for _ in 0..21 {
        let bytes = [digest[a], digest[b], digest[c]];
        text.push_str(&digits(&bytes, 4));
        (a, b, c) = (b + 1, c + 1, a + 1);
    }
    text.push_str(&digits(&[0, 0, digest[63]], 2));
    text
}

/// Returns `count` digits for the number that these bytes are, the lowest digit first.
fn digits(bytes: &[u8; 3], count: usize) -> String {
    let mut number =
        usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
    let mut text = String::new();
    for _ in 0..count {
        text.push(char::from(DIGITS[number % 64]));
        number /= 64;
    }
    text
}

/// Returns a salt that is made of `bytes`.
pub(super) fn salt(bytes: &[u8; 32]) -> String {
    let digit = |byte: &u8| char::from(DIGITS[usize::from(byte % 64)]);
    bytes.iter().take(SALT_CHARACTERS).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::{salt, sha512crypt};

    /// The first is of the specification; all are what other implementations print.
    #[test]
    fn hashes_are_those_of_the_specification() {
        for (password, salt, hash) in [
            (
                "Hello world!",
                "saltstring",
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
            ),
            (
                "",
                "abc",
                "$6$abc$mJP3a6FyA8uCnzRtlnNypPwjnvpi5TP9qOrInzrfDmwxUQG38PkpCPdqfTb8JQfAngapMxeim4AZ..hSdRRzD.",
            ),
            (
                "a password that is longer than sixty-four bytes, which a digest has, to be sure",
                "0123456789./ABCD",
                "$6$0123456789./ABCD$lsxz4ELZ9JbMfGMQPOgGoZNam4kWOVMuCaHmLZLfw1I7mbfUZrNW4SIQQzxDutmi7jiiHRNLEkNM5eXhLIQ.s0",
            ),
        ] {
            assert_eq!(sha512crypt(password.as_bytes(), salt), hash);
        }
    }

    #[test]
    fn salts_have_sixteen_digits() {
        let salt = salt(&[0x7f; 32]);
        assert_eq!(salt, "zzzzzzzzzzzzzzzz");
    }
}
