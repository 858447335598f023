//! Little-endian reading and writing with bounds, and the frame around everything that is stored.
//!
//! | offset | size | frame |
//! |---|---|---|
//! | 0 | 2 | `"KE"` |
//! | 2 | 1 | kind: `b'J'` journal row, `b'P'` pre-aggregator, `b'S'` snapshot section |
//! | 3 | 1 | version of that kind: the least that has everything in the payload |
//! | 4 | 4 | CRC-32 (IEEE) of what follows |
//! | 8 | n | payload |

use super::corrupt::{Corrupt, Defect, Within};

const MAGIC: [u8; 2] = *b"KE";
const FRAME_BYTES: usize = 8;
const VERSION_AT: usize = 3;

/// CRC-32 (IEEE).
#[must_use]
#[cfg(not(any(feature = "browser", feature = "news")))]
pub fn checksum(bytes: &[u8]) -> u32 {
    const CRC: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISO_HDLC);
    CRC.checksum(bytes)
}

/// CRC-32 (IEEE), bit by bit: a page has little to check, and would have to fetch tables.
#[must_use]
#[cfg(any(feature = "browser", feature = "news"))]
pub fn checksum(bytes: &[u8]) -> u32 {
    bit_by_bit(bytes)
}

#[cfg(any(test, feature = "browser", feature = "news"))]
fn bit_by_bit(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let step = |sum: u32, _| sum >> 1 ^ if sum & 1 == 1 { POLYNOMIAL } else { 0 };
    !bytes.iter().fold(u32::MAX, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), step))
}

/// The begin of a frame in a buffer of so many bytes; the payload is appended to it, then [`close_frame`] called.
#[must_use]
pub fn open_frame(kind: u8, payload_bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRAME_BYTES + payload_bytes);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[kind, 0, 0, 0, 0, 0]);
    out
}

/// Completes a frame that [`open_frame`] began: the same bytes as of [`frame`], without a copy.
pub fn close_frame(version: u8, out: &mut [u8]) {
    if let Some((head, payload)) = out.split_first_chunk_mut::<FRAME_BYTES>() {
        let [_, _, _, found_version, checked @ ..] = head;
        *found_version = version;
        *checked = checksum(payload).to_le_bytes();
    }
}

/// Puts a payload into a frame.
#[must_use]
pub fn frame(kind: u8, version: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRAME_BYTES + payload.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[kind, version]);
    out.extend_from_slice(&checksum(payload).to_le_bytes());
    out.extend_from_slice(payload);
    out
}

/// Takes a payload out of its frame.
///
/// # Errors
/// [`Corrupt`] naming the part of the frame: [`Defect::Short`] when shorter than one, [`Defect::Unknown`] for other first
/// bytes, another kind or a version above `version_max`, [`Defect::Checksum`] when the payload is not what was framed.
pub fn unframe(kind: u8, version_max: u8, bytes: &[u8]) -> Result<&[u8], Corrupt> {
    parts(kind, version_max, bytes).within("frame")
}

fn parts(kind: u8, version_max: u8, bytes: &[u8]) -> Result<&[u8], Corrupt> {
    let (head, payload) = bytes.split_first_chunk::<FRAME_BYTES>().ok_or_else(|| Corrupt::new(Defect::Short))?;
    let [m0, m1, found_kind, found_version, c0, c1, c2, c3] = *head;
    let unknown = |field| Err(Corrupt::new(Defect::Unknown).within(field));
    if [m0, m1] != MAGIC {
        return unknown("first bytes");
    }
    if found_kind != kind {
        return unknown("kind");
    }
    if !(1..=version_max).contains(&found_version) {
        return unknown("version");
    }
    if checksum(payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err(Corrupt::new(Defect::Checksum).within("checksum"));
    }
    Ok(payload)
}

/// Checks that a frame says the version that it has to: only so is a changed version never read as another one.
///
/// # Errors
/// [`Defect::Form`] when it says another one.
pub fn check_version(bytes: &[u8], version: u8) -> Result<(), Corrupt> {
    // What a page has stored is in a frame of one version.
    if cfg!(any(feature = "browser", feature = "news")) || bytes.get(VERSION_AT) == Some(&version) {
        Ok(())
    } else {
        Err(Corrupt::new(Defect::Form).within("version").within("frame"))
    }
}

/// The version that a frame says.
#[must_use]
pub fn version_of(frame: &[u8]) -> u8 {
    frame.get(VERSION_AT).copied().unwrap_or(0)
}

/// The byte of flags that has those which are set.
#[must_use]
pub fn flags_of<const N: usize>(flags: [(u8, bool); N]) -> u8 {
    flags.into_iter().fold(0, |byte, (flag, is_set)| if is_set { byte | flag } else { byte })
}

/// Writes integers as LEB128, so that small ones are short.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads from a slice, never past its end.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their start.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything was read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes that are left.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rest.len()
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`Defect::Short`] when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| Corrupt::new(Defect::Short))?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`Defect::Short`] when fewer are left.
    pub fn slice(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or_else(|| Corrupt::new(Defect::Short))?;
        self.rest = rest;
        Ok(head)
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`Defect::Short`] at the end.
    pub fn u8(&mut self) -> Result<u8, Corrupt> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// The next 8 bytes as an integer.
    ///
    /// # Errors
    /// [`Defect::Short`] when fewer are left.
    pub fn u64(&mut self) -> Result<u64, Corrupt> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The next 8 bytes as a finite number.
    ///
    /// # Errors
    /// [`Defect::Short`] when fewer are left, [`Defect::Range`] for an infinity or NaN.
    pub fn f64(&mut self) -> Result<f64, Corrupt> {
        let value = f64::from_le_bytes(self.array()?);
        if value.is_finite() { Ok(value) } else { Err(Corrupt::new(Defect::Range)) }
    }

    /// The next LEB128 integer.
    ///
    /// # Errors
    /// [`Defect::Short`] at the end, [`Defect::Range`] when it has more than 64 bits, [`Defect::Form`] when it has a needless byte.
    pub fn varint(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Corrupt::new(Defect::Range));
            }
            if byte == 0 && shift > 0 {
                return Err(Corrupt::new(Defect::Form));
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Corrupt::new(Defect::Range))
    }

    /// The next LEB128 integer, if it is below `bound`.
    ///
    /// # Errors
    /// As [`Self::varint`], and [`Defect::Range`] at or above the bound.
    pub fn varint_below(&mut self, bound: u64) -> Result<u64, Corrupt> {
        let value = self.varint()?;
        if value < bound { Ok(value) } else { Err(Corrupt::new(Defect::Range)) }
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// [`Defect::Long`] when bytes are left.
    pub fn end(&self) -> Result<(), Corrupt> {
        if self.rest.is_empty() { Ok(()) } else { Err(Corrupt::new(Defect::Long)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_same_checksum() {
        for bytes in [&b""[..], b"123456789", &[0xff; 300]] {
            assert_eq!(bit_by_bit(bytes), checksum(bytes));
        }
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn varints_round_trip_and_have_one_form() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let mut reader = Reader::new(&out);
            assert_eq!(reader.varint(), Ok(value));
            assert_eq!(reader.end(), Ok(()));
        }
        for (bytes, defect) in
            [(&[0x80, 0x00][..], Defect::Form), (&[0xff; 10], Defect::Range), (&[0x80], Defect::Short)]
        {
            assert_eq!(Reader::new(bytes).varint(), Err(Corrupt::new(defect)));
        }
    }

    #[test]
    fn frames_know_their_kind_version_and_content() {
        let framed = frame(b'J', 1, b"payload");
        let refused = |kind, version_max, bytes: &[u8]| unframe(kind, version_max, bytes).unwrap_err().to_string();
        assert_eq!(unframe(b'J', 1, &framed), Ok(&b"payload"[..]));
        assert_eq!(refused(b'S', 1, &framed), "frame, kind: unknown to this version");
        assert_eq!(unframe(b'J', 2, &framed), Ok(&b"payload"[..]));
        assert_eq!(refused(b'J', 1, &frame(b'J', 2, b"payload")), "frame, version: unknown to this version");
        assert_eq!(refused(b'J', 2, &frame(b'J', 0, b"payload")), "frame, version: unknown to this version");
        for bit in 32..framed.len() * 8 {
            let mut flipped = framed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(refused(b'J', 1, &flipped), "frame, checksum: does not match the content");
        }
        assert_eq!(refused(b'J', 1, b"JSON and more"), "frame, first bytes: unknown to this version");
        assert_eq!(refused(b'J', 1, &framed[..7]), "frame: the bytes end before it does");
        assert_eq!(check_version(&framed, 1), Ok(()));
        assert!(check_version(&framed, 2).is_err_and(|corrupt| corrupt.to_string().starts_with("frame, version: ")));
    }
}
