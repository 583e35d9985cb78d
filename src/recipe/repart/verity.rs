//! Which partitions belong together: data, hash tree and signature with the same `VerityMatchKey=`.

use std::collections::BTreeMap;

use super::VerityPart;
use super::parse::{Parsed, VerityKind};
use crate::recipe::error::RecipeError;
use crate::recipe::findings::Findings;

/// Says of each definition which set it is in, and reports sets that lack a part or have one twice.
pub(super) fn connect(parsed: &mut [Parsed], findings: &mut Findings) {
    let mut sets: BTreeMap<String, [Option<usize>; 3]> = BTreeMap::new();
    for (index, found) in parsed.iter().enumerate() {
        let (Some(key), Some(part)) = (&found.match_key, part(found.verity)) else {
            continue;
        };
        let set = sets.entry(key.clone()).or_default();
        if set[part].is_some() {
            let reason = format!("another partition is that of `VerityMatchKey={key}` already");
            refuse(found, reason, findings);
            continue;
        }
        set[part] = Some(index);
    }
    for (key, [data, hash, signature]) in sets {
        let missing = |what: &str| {
            format!("there is no partition with `Verity={what}` and `VerityMatchKey={key}`")
        };
        match (data, hash, signature) {
            (Some(data), Some(hash), signature) => {
                parsed[data].definition.verity = VerityPart::Data;
                parsed[hash].definition.verity = VerityPart::Hash { of: data };
                if let Some(signature) = signature {
                    parsed[signature].definition.verity = VerityPart::Signature { of: data };
                }
            }
            (None, hash, signature) => {
                if let Some(index) = hash.or(signature) {
                    refuse(&parsed[index], missing("data"), findings);
                }
            }
            (Some(data), None, _) => refuse(&parsed[data], missing("hash"), findings),
        }
    }
}

fn part(kind: VerityKind) -> Option<usize> {
    match kind {
        VerityKind::Off => None,
        VerityKind::Data => Some(0),
        VerityKind::Hash => Some(1),
        VerityKind::Signature => Some(2),
    }
}

fn refuse(found: &Parsed, reason: String, findings: &mut Findings) {
    let value = match found.verity {
        VerityKind::Off => "off",
        VerityKind::Data => "data",
        VerityKind::Hash => "hash",
        VerityKind::Signature => "signature",
    };
    findings.refuse(RecipeError::Unsupported {
        origin: found.definition.origin.clone(),
        setting: "Verity",
        value: value.to_owned(),
        reason,
    });
}
