//! What this node was acknowledged, kept so that it can be put back when the servers lose it: the last calls that
//! wrote, in memory and in a file beside the node. A call that has an effect's intent is on this machine's disk before
//! anybody may act on it. Knows nothing of what the calls mean.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::lane::Request;
use super::witness::Witness;
use crate::digest::Digest;
use crate::id::{AlertId, ApprovalId, PARTITIONS, Partition, RunId};
use crate::limits::{REDIS_NOTED_BYTES_MAX, REDIS_NOTED_MAX};

/// A call that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    /// Where.
    pub(super) partition: Partition,
    /// The generation it made.
    pub(super) generation: u64,
    /// What was called.
    pub(super) function: String,
    /// With what.
    pub(super) args: Vec<Vec<u8>>,
}

impl Noted {
    fn bytes(&self) -> usize {
        self.args.iter().map(Vec::len).sum::<usize>() + self.function.len()
    }

    /// As a file and a server keep it: length and digest of what follows, then each part with its length.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.bytes() + 64);
        body.push(self.partition.index());
        body.extend_from_slice(&self.generation.to_be_bytes());
        for part in std::iter::once(self.function.as_bytes()).chain(self.args.iter().map(Vec::as_slice)) {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            body.extend_from_slice(&length.to_be_bytes());
            body.extend_from_slice(part);
        }
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let mut whole = length.to_be_bytes().to_vec();
        whole.extend_from_slice(check(&body).as_slice());
        whole.extend_from_slice(&body);
        whole
    }

    /// The first one in `bytes` and what comes after it; `None` where nothing whole is left.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<(Noted, &[u8])> {
        let (length, rest) = number(bytes)?;
        let (sum, rest) = rest.split_at_checked(CHECK_BYTES)?;
        let (body, rest) = rest.split_at_checked(length)?;
        if check(body) != sum {
            return None;
        }
        let (partition, body) = body.split_first()?;
        let (generation, mut body) = body.split_at_checked(8)?;
        let mut parts = Vec::new();
        while !body.is_empty() {
            let (length, after) = number(body)?;
            let (part, after) = after.split_at_checked(length)?;
            parts.push(part.to_vec());
            body = after;
        }
        let mut parts = parts.into_iter();
        let noted = Noted {
            partition: Partition::number(*partition)?,
            generation: u64::from_be_bytes(generation.try_into().ok()?),
            function: String::from_utf8(parts.next()?).ok()?,
            args: parts.collect(),
        };
        Some((noted, rest))
    }
}

impl fmt::Display for Noted {
    /// What it is about: the function, and the names among its arguments. Never contents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.function)?;
        let texts = self.args.iter().filter_map(|arg| std::str::from_utf8(arg).ok());
        let names = texts.filter(|text| {
            RunId::parse(text).is_ok() || AlertId::parse(text).is_ok() || ApprovalId::parse(text).is_ok()
        });
        for name in names.take(4) {
            write!(f, " {name}")?;
        }
        if is_intent(&self.function, &self.args) {
            write!(f, ", with the intent of an effect")?;
        }
        Ok(())
    }
}

const CHECK_BYTES: usize = 8;

fn check(body: &[u8]) -> Vec<u8> {
    Digest::of(body).0.iter().copied().take(CHECK_BYTES).collect()
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_at_checked(4)?;
    let number = u32::from_be_bytes(number.try_into().ok()?);
    Some((usize::try_from(number).ok()?, rest))
}

/// True for a call with the intent of an effect, which is acted on once it is answered.
pub(super) fn is_intent(function: &str, args: &[Vec<u8>]) -> bool {
    let kind = b" effect_intended ";
    function == "append"
        && args
            .iter()
            .any(|arg| arg.windows(kind.len()).any(|part| part == kind))
}

/// The last calls of every partition.
#[derive(Default)]
struct Ring {
    calls: VecDeque<Arc<Noted>>,
    bytes: usize,
}

impl Ring {
    fn push(&mut self, noted: Arc<Noted>) {
        self.bytes += noted.bytes();
        self.calls.push_back(noted);
        while self.calls.len() > REDIS_NOTED_MAX
            || (self.bytes > REDIS_NOTED_BYTES_MAX && self.calls.len() > 1)
        {
            if let Some(old) = self.calls.pop_front() {
                self.bytes -= old.bytes();
            }
        }
    }
}

/// Remembers them.
pub(super) struct Notes {
    rings: Mutex<Vec<Ring>>,
    witness: Option<Witness>,
}

impl Notes {
    /// Notes that begin with what an earlier process left in its file.
    pub(super) fn new(witness: Option<Witness>, left: Vec<Noted>) -> Notes {
        let mut rings: Vec<Ring> = (0..PARTITIONS).map(|_| Ring::default()).collect();
        for noted in left {
            if let Some(ring) = rings.get_mut(usize::from(noted.partition.index())) {
                ring.push(Arc::new(noted));
            }
        }
        Notes {
            rings: Mutex::new(rings),
            witness,
        }
    }

    /// A call was acknowledged. Returns when it is on the disk, if it has an intent.
    pub(super) async fn note(&self, request: &Request, generation: u64) {
        let noted = Arc::new(Noted {
            partition: request.partition,
            generation,
            function: request.function.to_owned(),
            args: request.args.clone(),
        });
        if let Some(ring) = self.rings().get_mut(usize::from(request.partition.index())) {
            ring.push(noted.clone());
        }
        if let Some(witness) = &self.witness {
            let is_intent = is_intent(request.function, &request.args);
            witness.write(noted, is_intent).await;
        }
    }

    /// What this node has of a partition after a generation, in order.
    pub(super) fn after(&self, partition: Partition, generation: u64) -> Vec<Arc<Noted>> {
        let rings = self.rings();
        let ring = rings.get(usize::from(partition.index()));
        let mut found: Vec<Arc<Noted>> = ring
            .map(|ring| ring.calls.iter().filter(|noted| noted.generation > generation))
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        found.sort_by_key(|noted| noted.generation);
        found
    }

    /// The highest generation this node was acknowledged as its own, by partition.
    pub(super) fn highest(&self, partition: Partition) -> u64 {
        let last = self.after(partition, 0).last().map(|noted| noted.generation);
        last.unwrap_or(0)
    }

    fn rings(&self) -> std::sync::MutexGuard<'_, Vec<Ring>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(generation: u64, bytes: usize) -> Noted {
        Noted {
            partition: Partition::CONTROL,
            generation,
            function: "append".to_owned(),
            args: vec![vec![0; bytes], b"\r\n".to_vec(), Vec::new()],
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_what_is_cut_off_is_left() {
        let mut bytes = noted(7, 3).to_bytes();
        bytes.extend(noted(8, 0).to_bytes());
        let cut = bytes.get(..bytes.len() - 1).unwrap();
        let (first, rest) = Noted::from_bytes(cut).unwrap();
        assert_eq!(first, noted(7, 3));
        assert_eq!(Noted::from_bytes(rest), None);
        let (_, rest) = Noted::from_bytes(&bytes).unwrap();
        assert_eq!(Noted::from_bytes(rest).unwrap(), (noted(8, 0), &[][..]));
        let flipped: Vec<u8> = bytes.iter().map(|byte| byte ^ 1).collect();
        assert_eq!(Noted::from_bytes(&flipped), None);
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let many = (1..=u64::try_from(REDIS_NOTED_MAX).unwrap() + 10).map(|n| noted(n, 1));
        let notes = Notes::new(None, many.collect());
        let kept = notes.after(Partition::CONTROL, 0);
        assert_eq!(kept.len(), REDIS_NOTED_MAX);
        assert_eq!(kept.first().unwrap().generation, 11);
        let large = (1..=8).map(|n| noted(n, REDIS_NOTED_BYTES_MAX / 4));
        let notes = Notes::new(None, large.collect());
        assert!(notes.after(Partition::CONTROL, 0).len() < 4);
        assert_eq!(notes.highest(Partition::CONTROL), 8);
        assert_eq!(notes.after(Partition::CONTROL, 7).len(), 1);
    }

    #[test]
    fn an_intent_is_told_from_words_about_one() {
        let entry = |text: &str| vec![b"7".to_vec(), text.as_bytes().to_vec()];
        assert!(is_intent("append", &entry("00ff effect_intended {\"a\":1}")));
        assert!(!is_intent("append", &entry("00ff effect_ended {}")));
        assert!(!is_intent("dispose", &entry("00ff effect_intended {}")));
    }
}
