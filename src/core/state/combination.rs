//! A combination: the set of events that a user had done before a goal.

use crate::core::format::bytes::{Reader, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::settings::limits::EVENTS_PER_NAMESPACE;

/// A set of event numbers as a bitmap: bit `n` of the little-endian bytes stands for event `n`; no zero bytes at the
/// end, so that equal sets are equal bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Combination(Box<[u8]>);

/// What one entry costs in a map beside its bitmap: key, count and its share of the tree.
const ENTRY_BYTES: usize = 64;

impl Combination {
    /// The events in it, ascending.
    pub fn events(&self) -> impl Iterator<Item = u32> + '_ {
        self.0
            .iter()
            .zip(0_u32..)
            .flat_map(|(&byte, at)| (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| at * 8 + bit))
    }

    /// The same without an event.
    #[must_use]
    pub fn without(&self, event: u32) -> Self {
        self.events().filter(|&other| other != event).collect()
    }

    /// Bytes that it takes as a key of a map.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        ENTRY_BYTES + self.0.len()
    }

    /// Appends the encoding: the bitmap's length as LEB128, then the bitmap.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        out.extend_from_slice(&self.0);
    }

    /// Reads an encoded combination.
    ///
    /// # Errors
    /// [`Corrupt`] when it is cut short, too long for any namespace, or ends in a zero byte.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let len = reader.varint_below(EVENTS_PER_NAMESPACE.max.div_ceil(8) + 1).within("length of the bitmap")?;
        let bitmap = reader.slice(len as usize).within("bitmap")?;
        if bitmap.last() == Some(&0) {
            return Err(Corrupt::new(Defect::Form).within("bitmap"));
        }
        Ok(Self(bitmap.into()))
    }
}

impl From<Combination> for Box<[u8]> {
    /// The bitmap.
    fn from(combination: Combination) -> Self {
        combination.0
    }
}

impl From<Box<[u8]>> for Combination {
    /// Of a bitmap, which may end in zero bytes.
    fn from(bitmap: Box<[u8]>) -> Self {
        let used = bitmap.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        if used == bitmap.len() { Self(bitmap) } else { Self(bitmap.iter().take(used).copied().collect()) }
    }
}

impl FromIterator<u32> for Combination {
    fn from_iter<I: IntoIterator<Item = u32>>(events: I) -> Self {
        let mut bitmap = Vec::new();
        for event in events {
            let at = event as usize / 8;
            if at >= bitmap.len() {
                bitmap.resize(at + 1, 0);
            }
            if let Some(byte) = bitmap.get_mut(at) {
                *byte |= 1 << (event % 8);
            }
        }
        Self(bitmap.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_a_set() {
        let combination: Combination = [9, 0, 63, 9].into_iter().collect();
        assert_eq!(combination.events().collect::<Vec<_>>(), [0, 9, 63]);
        assert_eq!(combination, [63, 9, 0].into_iter().collect());
        assert_eq!(Combination::default().events().count(), 0);
    }

    #[test]
    fn the_empty_set_and_canonical_bytes() {
        let mut out = Vec::new();
        Combination::default().encode(&mut out);
        assert_eq!(out, [0]);
        let refused = |bytes: &[u8]| Combination::decode(&mut Reader::new(bytes)).unwrap_err().to_string();
        assert_eq!(refused(&[2, 1, 0]), "bitmap: not in the form that is written");
        assert_eq!(refused(&[2, 1]), "bitmap: the bytes end before it does");
        assert_eq!(refused(&[0xff, 0x7f]), "length of the bitmap: out of range");
    }
}
