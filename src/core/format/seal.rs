//! Sealing of journal rows: XChaCha20-Poly1305 under a key that derives from the deployment key.
//!
//! A row groups what came in one request, often from one user. Until a compaction dissolves the rows into sets, only
//! the seal keeps that grouping from whoever reads the storage without the key.
//!
//! | offset | size | sealed row |
//! |---|---|---|
//! | 0 | 24 | nonce, random |
//! | 24 | n | encrypted row |
//! | 24 + n | 16 | authentication tag |

use chacha20poly1305::aead::{Aead, AeadInPlace, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use super::corrupt::{Corrupt, Defect, Within};

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// Seals rows and opens them again.
#[derive(Clone)]
pub struct Seal(XChaCha20Poly1305);

impl Seal {
    /// A seal with this key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// Seals a row under a fresh random nonce.
    #[must_use]
    pub fn close(&self, nonce: [u8; NONCE_BYTES], row: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = Vec::with_capacity(NONCE_BYTES + row.len() + TAG_BYTES);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(row);
        let (_, row) = sealed.split_at_mut(NONCE_BYTES);
        // Encryption fails only for messages near 256 GiB.
        let tag = self.0.encrypt_in_place_detached(XNonce::from_slice(&nonce), &[], row).ok()?;
        sealed.extend_from_slice(&tag);
        Some(sealed)
    }

    /// Opens a sealed row.
    ///
    /// # Errors
    /// [`Defect::Short`] when it is too short, [`Defect::Seal`] when key or bytes are not those of [`Self::close`].
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, Corrupt> {
        let (nonce, sealed) =
            sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(|| Corrupt::new(Defect::Short).within("nonce"))?;
        self.0.decrypt(XNonce::from_slice(nonce), sealed).map_err(|_| Corrupt::new(Defect::Seal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_what_it_closed_and_nothing_else() {
        let seal = Seal::new(&[3; 32]);
        let sealed = seal.close([9; NONCE_BYTES], b"effects").unwrap();
        assert_eq!(seal.open(&sealed).unwrap(), b"effects");
        assert!(!sealed.windows(7).any(|window| window == b"effects"));
        assert_eq!(Seal::new(&[4; 32]).open(&sealed), Err(Corrupt::new(Defect::Seal)));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open(&changed), Err(Corrupt::new(Defect::Seal)));
            assert!(seal.open(&sealed[..at]).is_err());
        }
    }
}
