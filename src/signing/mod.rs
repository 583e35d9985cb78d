//! Keys, certificates and PKCS#7 signatures; and OpenPGP signatures, which other programs make.
//!
//! Used by `ddi` for the signature of a root hash and by the `genkey` verb. Keys are opened only here, after the last
//! sandbox is gone; nothing of a recipe runs while one is in memory. The signature form is the one the kernel's
//! dm-verity takes: <https://docs.kernel.org/admin-guide/device-mapper/verity.html>.

#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod generate;
mod key_files;
mod openpgp;
mod signer;

pub use self::generate::{GenerateError, KeyOptions, KeyPair, generate};
pub use self::key_files::{CERTIFICATE_FILE, KEY_FILE, Overwrite, WriteKeyError, write_key_pair};
pub use self::openpgp::{DetachedSigner, OpenPgpError, Signers};
pub use self::signer::{Error, Signer, read_certificate};
