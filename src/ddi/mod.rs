//! A file system, its verity tree and its signature become a GPT image, in one streaming pass.
