//! Names of things that are stored. An id is derived from what caused the thing, so that doing a hop again
//! makes the same id and the repeat is a no-op. The partition is read from the id itself.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Digest;

/// How many partitions a store has. Fixed when a store is initialised, and the same for all stores of this
/// version: it is part of how ids are read.
pub const PARTITIONS: u8 = 16;

/// One part of a store. Every store operation names exactly one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(u8);

impl Partition {
    /// The partition that holds what belongs to the whole instance: the halt switch, principals, bundles.
    pub const CONTROL: Partition = Partition(0);

    /// The partition of anything named by this digest.
    pub fn of(digest: &Digest) -> Partition {
        Partition(digest.0[0] & (PARTITIONS - 1))
    }

    /// The partition of anything named by this text, such as a target.
    pub fn of_text(text: &str) -> Partition {
        Partition::of(&Digest::of(text.as_bytes()))
    }

    /// Partition number `n`, where there is one.
    pub fn number(n: u8) -> Option<Partition> {
        (n < PARTITIONS).then_some(Partition(n))
    }

    /// Every partition, in order.
    pub fn all() -> impl Iterator<Item = Partition> {
        (0..PARTITIONS).map(Partition)
    }

    /// The number, 0 to 15.
    pub fn index(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{:02}", self.0)
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an id of this kind.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not {expected}: it looks like `{prefix}_` and 26 letters and digits")]
pub struct NotAnId {
    text: String,
    expected: &'static str,
    prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $article:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id of the thing that these parts caused.
            pub fn derive<P: AsRef<[u8]>>(parts: &[P]) -> $name {
                let kind = Digest::of($prefix.as_bytes());
                let cause = Digest::of_parts(parts);
                let Digest(bytes) = Digest::of_parts(&[kind.0, cause.0]);
                let mut short = [0; 16];
                short.copy_from_slice(bytes.split_at(16).0);
                $name(short)
            }

            /// The partition everything about it lives in.
            pub fn partition(&self) -> Partition {
                Partition(self.0[0] & (PARTITIONS - 1))
            }

            /// Reads an id as it is written.
            pub fn parse(text: &str) -> Result<$name, NotAnId> {
                let wrong = || NotAnId { text: text.to_owned(), expected: $article, prefix: $prefix };
                let rest = text.strip_prefix(concat!($prefix, "_")).ok_or_else(wrong)?;
                let bytes = encoding().decode(rest.as_bytes()).map_err(|_| wrong())?;
                <[u8; 16]>::try_from(bytes.as_slice()).map($name).map_err(|_| wrong())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, encoding().encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<$name, NotAnId> {
                $name::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                $name::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// One delivery of a sender: derived from source and delivery key.
    AlertId, "alert", "an alert id"
);
id!(
    /// One thing a sender found: derived from source and the sender's finding id.
    FindingId, "finding", "a finding id"
);
id!(
    /// One run of a playbook: derived from the trigger and finding, the person's request, or the effect it reverts.
    RunId, "run", "a run id"
);
id!(
    /// One change to the world: derived from run, step and connector instance.
    EffectId, "effect", "an effect id"
);
id!(
    /// One request for approval: derived from its run and from what asks. Lives in the partition of its run.
    ApprovalId, "approval", "an approval id"
);

impl ApprovalId {
    /// The approval that these parts of `run` ask for; in the run's partition, because what is decided about it
    /// belongs to the run.
    pub fn of_run<P: AsRef<[u8]>>(run: RunId, parts: &[P]) -> ApprovalId {
        let mut all = vec![run.to_string().into_bytes()];
        all.extend(parts.iter().map(|part| part.as_ref().to_vec()));
        let ApprovalId(mut bytes) = ApprovalId::derive(&all);
        bytes[0] = (bytes[0] & !(PARTITIONS - 1)) | run.partition().index();
        ApprovalId(bytes)
    }
}

/// Lower-case base32 of RFC 4648 without padding: reads aloud, sorts, and survives a double click.
fn encoding() -> &'static data_encoding::Encoding {
    static ENCODING: std::sync::LazyLock<data_encoding::Encoding> = std::sync::LazyLock::new(|| {
        let mut specification = data_encoding::Specification::new();
        specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
        // 32 distinct symbols are always a valid alphabet; the fallback only keeps this total.
        specification.encoding().unwrap_or(data_encoding::BASE32_NOPAD)
    });
    &ENCODING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_cause_makes_the_same_id() {
        assert_eq!(RunId::derive(&["a", "b"]), RunId::derive(&["a", "b"]));
        assert_ne!(RunId::derive(&["a", "b"]), RunId::derive(&["ab", ""]));
        assert_ne!(
            RunId::derive(&["a"]).to_string().get(4..),
            AlertId::derive(&["a"]).to_string().get(6..)
        );
    }

    #[test]
    fn an_id_reads_back_and_keeps_its_partition() {
        for n in 0..64_u8 {
            let id = EffectId::derive(&[[n]]);
            let text = id.to_string();
            assert_eq!(text.len(), "effect_".len() + 26);
            let back = EffectId::parse(&text).unwrap();
            assert_eq!(back, id);
            assert_eq!(back.partition(), id.partition());
        }
    }

    #[test]
    fn an_approval_lives_where_its_run_does() {
        for n in 0..64_u8 {
            let run = RunId::derive(&[[n]]);
            let approval = ApprovalId::of_run(run, &["2.0.1", "0"]);
            assert_eq!(approval.partition(), run.partition());
            assert_eq!(ApprovalId::parse(&approval.to_string()).unwrap(), approval);
            assert_ne!(approval, ApprovalId::of_run(run, &["2.0.1", "1"]));
        }
    }

    #[test]
    fn a_wrong_id_says_what_an_id_looks_like() {
        let error = RunId::parse("alert_aaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`alert_aaaaaaaaaaaaaaaaaaaaaaaaaa` is not a run id: it looks like `run_` and 26 letters and digits"
        );
    }
}
