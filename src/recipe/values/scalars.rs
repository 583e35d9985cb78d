//! Words and numbers.

use super::value::{Feature, Value};
use super::vantage::Refused;
use super::words::{octal_number, whole_number};

/// The names of compressions; `zst` and `gzip` are accepted spellings.
pub(super) const COMPRESSIONS: &[&str] = &["none", "zstd", "xz", "bz2", "gz", "lz4", "lzma"];

/// Reads a boolean as mkosi spells it.
pub(in crate::recipe) fn boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "1" | "true" | "yes" | "y" | "t" | "on" | "always" => Some(true),
        "0" | "false" | "no" | "n" | "f" | "off" | "never" => Some(false),
        _ => None,
    }
}

/// Reads a feature as mkosi spells it.
pub(in crate::recipe) fn feature(text: &str) -> Option<Feature> {
    match text {
        "auto" => Some(Feature::Auto),
        "enabled" => Some(Feature::Enabled),
        "disabled" => Some(Feature::Disabled),
        _ => boolean(text).map(|answer| {
            if answer {
                Feature::Enabled
            } else {
                Feature::Disabled
            }
        }),
    }
}

pub(super) fn choice(choices: &[&str], text: &str) -> Result<Value, Refused> {
    if choices.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    Err(Refused::new(text, one_of(choices)))
}

fn one_of(choices: &[&str]) -> String {
    let listed: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
    format!("one of {}", listed.join(", "))
}

pub(super) fn choice_or_boolean(
    choices: &[&str],
    yes: &str,
    no: &str,
    text: &str,
) -> Result<Value, Refused> {
    match boolean(text) {
        Some(answer) if !choices.contains(&text) => {
            Ok(Value::Text(if answer { yes } else { no }.to_owned()))
        }
        _ => choice(choices, text),
    }
}

pub(super) fn compression(text: &str) -> Result<Value, Refused> {
    match (text, boolean(text)) {
        ("zst", _) | (_, Some(true)) => Ok(Value::Text("zstd".to_owned())),
        ("gzip", _) => Ok(Value::Text("gz".to_owned())),
        (_, Some(false)) => Ok(Value::Text("none".to_owned())),
        _ => choice(COMPRESSIONS, text),
    }
}

pub(super) fn mode(text: &str) -> Result<Value, Refused> {
    octal_number(text)
        .and_then(|mode| u32::try_from(mode).ok())
        .filter(|mode| *mode <= 0o1777)
        .map(Value::Mode)
        .ok_or_else(|| Refused::new(text, "octal permission bits up to 1777"))
}

/// Reads 32 hexadecimal digits with hyphens anywhere, as Python's `uuid` does.
pub(super) fn uuid(text: &str) -> Result<Value, Refused> {
    if text == "random" {
        return Ok(Value::Text(text.to_owned()));
    }
    let digits = text
        .replace("urn:", "")
        .replace("uuid:", "")
        .trim_matches(['{', '}'])
        .replace('-', "");
    let is_hexadecimal = digits.len() == 32 && digits.chars().all(|c| c.is_ascii_hexdigit());
    is_hexadecimal
        .then(|| uuid::Uuid::parse_str(&digits).ok())
        .flatten()
        .map(|uuid| Value::Text(uuid.to_string()))
        .ok_or_else(|| Refused::new(text, "a UUID or `random`"))
}

pub(super) fn number(text: &str) -> Result<Value, Refused> {
    whole_number(text)
        .filter(|number| *number >= 0)
        .map(Value::Number)
        .ok_or_else(|| Refused::new(text, "a whole number, zero or more"))
}

pub(super) fn integer(text: &str) -> Result<Value, Refused> {
    whole_number(text)
        .map(Value::Number)
        .ok_or_else(|| Refused::new(text, "a whole number"))
}

pub(super) fn sector_size(text: &str) -> Result<Value, Refused> {
    whole_number(text)
        .filter(|size| [512, 1024, 2048, 4096].contains(size))
        .map(Value::Number)
        .ok_or_else(|| Refused::new(text, "512, 1024, 2048 or 4096"))
}

/// The numbers that vsocks can have: 0 to 2 are reserved, and the last one means any (vsock(7)).
const VSOCKS: std::ops::Range<i64> = 3..0xFFFF_FFFF;

pub(super) fn vsock(text: &str) -> Result<Value, Refused> {
    let number = match text {
        "auto" => Some(Value::VSOCK_AUTO),
        "hash" => Some(Value::VSOCK_HASH),
        _ => whole_number(text).filter(|number| VSOCKS.contains(number)),
    };
    number
        .map(Value::Vsock)
        .ok_or_else(|| Refused::new(text, "`auto`, `hash` or a number from 3 to 4294967294"))
}

/// The page size that sizes are rounded up to.
const PAGE_BYTES: u64 = 4096;

pub(super) fn size(text: &str) -> Result<u64, Refused> {
    let refused = || Refused::new(text, "a number of bytes above zero, with `K`, `M` or `G`");
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'G') => (&text[..text.len() - 1], 1_u64 << 30),
        Some(b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'K') => (&text[..text.len() - 1], 1 << 10),
        _ => (text, 1),
    };
    let number: f64 = digits.trim().parse().map_err(|_| refused())?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "the factor is a power of two, which a float holds exactly"
    )]
    let bytes = (number * factor as f64).ceil();
    // What is larger than the largest file is no size.
    if !(bytes > 0.0 && bytes < 2_f64.powi(63)) {
        return Err(refused());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole, above zero and below 2^63"
    )]
    let bytes = bytes as u64;
    Ok(bytes.next_multiple_of(PAGE_BYTES))
}

pub(super) fn password(text: &str) -> Value {
    let text = text.trim();
    let (text, hashed) = match text.strip_prefix("hashed:") {
        Some(hash) => (hash, true),
        None => (text, false),
    };
    Value::Password {
        text: text.to_owned(),
        hashed,
    }
}
