//! Identity: raw user ids become [`UserKey`]s at the boundary, and user keys become fingerprints that differ from
//! event to event.
//!
//! All keys derive from one deployment key of 32 bytes by HKDF-SHA-256 (RFC 5869). What is at rest holds fingerprints
//! only; without the deployment key two events' fingerprints of one user are unrelated numbers.

use std::hash::{BuildHasher, Hasher};

use hkdf::Hkdf;
use sha2::Sha256;
use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::core::periods::period::Period;
use crate::core::periods::week::Week;
use crate::core::state::error::Invalid;

/// A keyed 128-bit hash of namespace and user id. Lives in memory and in Worker → shard messages, never at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserKey(u128);

impl UserKey {
    /// The index of the shard that holds this user, of `shards`.
    #[must_use]
    pub fn shard(self, shards: u32) -> u32 {
        // Half by half, as one divides by hand: dividing 128 bits takes longer than hashing the user id did.
        let shards = u64::from(shards.max(1));
        let below = |rest: u64, digits: u64| (rest << 32 | digits) % shards;
        let digits =
            [self.0 >> 96, self.0 >> 64, self.0 >> 32, self.0].map(|digits| digits as u64 & u64::from(u32::MAX));
        digits.into_iter().fold(0, below) as u32
    }
}

impl UserKey {
    /// Its 16 bytes, little-endian.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// The key that has these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }
}

/// The keys of a deployment.
#[derive(Clone)]
pub struct Keys {
    hkdf: Hkdf<Sha256>,
    user: [u8; 16],
    names: [u8; 16],
}

impl Keys {
    /// Derives the keys from the deployment key.
    #[must_use]
    pub fn new(deployment_key: &[u8; 32]) -> Self {
        let hkdf = Hkdf::<Sha256>::new(Some(b"kimball-edge v1"), deployment_key);
        let (user, names) = (expand(&hkdf, &[b"user"]), expand(&hkdf, &[b"names"]));
        Self { hkdf, user, names }
    }

    /// Reads a deployment key of 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`Invalid`] naming `HASH_KEY` for anything else.
    pub fn from_hex(text: &str) -> Result<Self, Invalid> {
        let mut key = [0; 32];
        hex::decode_to_slice(text.trim(), &mut key)
            .map_err(|_| Invalid { what: "HASH_KEY: must be 64 hexadecimal digits (32 bytes)".into() })?;
        Ok(Self::new(&key))
    }

    /// The key of a user: SipHash-2-4-128 over `namespace ‖ 0 ‖ user id`. Names hold no 0 byte, so no two pairs meet.
    #[must_use]
    pub fn user(&self, namespace: &str, user_id: &str) -> UserKey {
        self.users(namespace).key(user_id)
    }

    /// What makes the keys of the users of one namespace.
    #[must_use]
    pub fn users(&self, namespace: &str) -> UserKeys {
        UserKeys::new(&self.user, namespace)
    }

    /// What maps of names hash with while they are in memory.
    #[must_use]
    pub const fn name_hash(&self) -> NameHash {
        NameHash(self.names)
    }

    /// The key that turns the user keys of a namespace into fingerprints.
    #[must_use]
    pub fn unlink(&self, namespace: &str) -> UnlinkKey {
        UnlinkKey(expand(&self.hkdf, &[b"unlink", &[0], namespace.as_bytes()]))
    }

    /// The key that seals journal rows.
    #[must_use]
    pub fn seal(&self) -> [u8; 32] {
        expand(&self.hkdf, &[b"seal"])
    }

    /// A value by which a deployment recognises its key again, and that reveals nothing of it.
    #[must_use]
    pub fn check(&self) -> u64 {
        u64::from_le_bytes(expand(&self.hkdf, &[b"check"]))
    }
}

fn expand<const N: usize>(hkdf: &Hkdf<Sha256>, info: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    // Fails only above 255 * 32 bytes; N is at most 32 here, so `out` is always filled.
    let filled = hkdf.expand_multi_info(info, &mut out);
    debug_assert!(filled.is_ok());
    out
}

/// What makes the keys of the users of one namespace, whose name is hashed once.
#[derive(Clone)]
pub struct UserKeys(SipHasher24);

impl UserKeys {
    fn new(key: &[u8; 16], namespace: &str) -> Self {
        let mut hasher = SipHasher24::new_with_key(key);
        hasher.write(namespace.as_bytes());
        hasher.write(&[0]);
        Self(hasher)
    }

    /// The key of a user, as [`Keys::user`] has it.
    #[must_use]
    pub fn key(&self, user_id: &str) -> UserKey {
        let mut hasher = self.0;
        hasher.write(user_id.as_bytes());
        UserKey(hasher.finish128().as_u128())
    }
}

/// SipHash-1-3 under a key that nobody outside knows, so that nobody can choose names whose hashes meet.
#[derive(Clone, Copy)]
pub struct NameHash([u8; 16]);

impl BuildHasher for NameHash {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}

/// The key of one pre-aggregator: 32 random bytes that are used as they are, so that a page needs no key derivation.
///
/// One unlink key serves all its namespaces, because the user keys already differ between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalKey {
    user: [u8; 16],
    unlink: UnlinkKey,
}

impl LocalKey {
    /// Bytes of a key.
    pub const BYTES: usize = 32;

    /// Takes 32 random bytes for a key.
    #[must_use]
    pub fn new(bytes: &[u8; Self::BYTES]) -> Self {
        let (mut user, mut unlink) = ([0; 16], [0; 16]);
        for (to, from) in user.iter_mut().chain(&mut unlink).zip(bytes) {
            *to = *from;
        }
        Self { user, unlink: UnlinkKey(unlink) }
    }

    /// The bytes that the key was made of.
    pub fn bytes(&self) -> impl Iterator<Item = u8> {
        self.user.into_iter().chain(self.unlink.0)
    }

    /// The key of a user: as [`Keys::user`].
    #[must_use]
    pub fn user(&self, namespace: &str, user_id: &str) -> UserKey {
        UserKeys::new(&self.user, namespace).key(user_id)
    }

    /// The key that turns user keys into fingerprints.
    #[must_use]
    pub const fn unlink(&self) -> &UnlinkKey {
        &self.unlink
    }
}

/// The key of a namespace that makes one user's fingerprints of different events unrelated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnlinkKey([u8; 16]);

/// The tag that stands for the set of all users of a namespace.
pub const ALL_USERS_TAG: u64 = 0;

impl UnlinkKey {
    /// Its bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The key that has these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The tag of an event: what its fingerprints are derived with. SipHash-1-3-64 over the name.
    #[must_use]
    pub fn tag(&self, event_name: &str) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(event_name.as_bytes());
        hasher.finish().max(ALL_USERS_TAG + 1)
    }

    /// The tag of one weekly cohort of an event, so that its weeks cannot be joined either. SipHash-1-3-64 over
    /// `tag ‖ week`.
    #[must_use]
    pub fn week_tag(&self, tag: u64, week: Week) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(&tag.to_le_bytes());
        hasher.write(&week.index().to_le_bytes());
        hasher.finish().max(ALL_USERS_TAG + 1)
    }

    /// The tag of the users of an event in one period, or with [`ALL_USERS_TAG`] of anybody in it. SipHash-1-3-64 over
    /// `tag ‖ 1 ‖ period`: one byte more than [`Self::week_tag`] hashes, so that no two tags are of the same bytes.
    #[must_use]
    pub fn period_tag(&self, tag: u64, period: Period) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(&tag.to_le_bytes());
        hasher.write(&[1]);
        hasher.write(&period.code().to_le_bytes());
        hasher.finish().max(ALL_USERS_TAG + 1)
    }

    /// The tag of a kind of sets of a definition in one period. SipHash-1-3-64 over `2 ‖ kind ‖ definition ‖ period`: fewer bytes
    /// than the others hash, so that no two tags are of the same.
    #[must_use]
    pub fn definition_tag(&self, kind: u8, definition: u32, period: Period) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(&[2, kind]);
        hasher.write(&definition.to_le_bytes());
        hasher.write(&period.code().to_le_bytes());
        hasher.finish().max(ALL_USERS_TAG + 1)
    }

    /// The fingerprint of a user for the event with this tag: 64 bits, SipHash-1-3 over `UserKey ‖ tag`.
    #[must_use]
    pub fn fingerprint(&self, user: UserKey, tag: u64) -> u64 {
        // In one piece: in two, half of the time goes into putting them together.
        let mut bytes = [0; 24];
        let (of_user, of_tag) = bytes.split_at_mut(16);
        of_user.copy_from_slice(&user.0.to_le_bytes());
        of_tag.copy_from_slice(&tag.to_le_bytes());
        SipHasher13::new_with_key(&self.0).hash(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_differ_by_namespace_and_keys_by_purpose() {
        let keys = Keys::new(&[7; 32]);
        assert_ne!(keys.user("a", "bc"), keys.user("ab", "c"));
        assert_ne!(keys.user("a", "x"), keys.user("b", "x"));
        assert_ne!(keys.unlink("a"), keys.unlink("b"));
        assert_ne!(keys.check(), Keys::new(&[8; 32]).check());
        assert_ne!(keys.user("a", "x"), Keys::new(&[8; 32]).user("a", "x"));
    }

    #[test]
    fn a_user_is_in_the_shard_of_the_remainder() {
        let keys = Keys::new(&[7; 32]);
        for user in (0..200).map(|user| keys.user("a", &user.to_string())).chain([UserKey(u128::MAX), UserKey(0)]) {
            for shards in [1, 2, 3, 7, 64, 65_537, u32::MAX] {
                assert_eq!(u128::from(user.shard(shards)), user.0 % u128::from(shards));
            }
        }
    }

    #[test]
    fn a_key_is_64_hexadecimal_digits() {
        assert_eq!(Keys::from_hex(&"0a".repeat(32)).unwrap().check(), Keys::new(&[10; 32]).check());
        assert!(Keys::from_hex(&"0a".repeat(31)).is_err());
        assert!(Keys::from_hex(&"zz".repeat(32)).is_err());
    }

    /// Stored fingerprints outlive a release, so the derivation must not change unnoticed.
    #[test]
    fn derivations_are_stable() {
        let keys = Keys::new(&[1; 32]);
        let unlink = keys.unlink("default");
        let tag = unlink.tag("Login");
        let fingerprint = unlink.fingerprint(keys.user("default", "alice"), tag);
        assert_eq!(
            (keys.check(), tag, fingerprint),
            (13_547_588_463_738_044_188, 1_632_627_165_750_306_101, 9_195_377_497_528_657_781)
        );
    }
}
