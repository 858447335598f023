//! What is compared: our user set and the sketches of Apache `DataSketches` behind one trait, and the users that all get.
//!
//! All start from the 16-byte key of a user and hash it themselves: ours into a fingerprint as a shard does, theirs with
//! `MurmurHash3` or `XXHash64`.

use datasketches::bloom::{BloomFilter, BloomFilterBuilder};
use datasketches::cpc::CpcSketch;
use datasketches::error::Error;
use datasketches::hll::HllSketch;
use datasketches::theta::ThetaSketch;
use kimball_edge::core::identity::{Keys, UnlinkKey, UserKey};
use kimball_edge::core::sets::user_set::UserSet;
use kimball_edge::core::settings::limits::SHARDS;

/// How many shards take so many users: one while a set can hold them, otherwise as many as a namespace has by default.
pub const fn shards(users: u64) -> u32 {
    if users > UserSet::CAPACITY_MAX { SHARDS.default as u32 } else { 1 }
}

/// The users of one repetition, as the product makes them.
pub struct Stream {
    unlink: UnlinkKey,
    tag: u64,
    /// Those that are inserted, all different.
    pub users: Vec<UserKey>,
    /// Others, that never are.
    pub absent: Vec<UserKey>,
}

impl Stream {
    /// With a key of its own for every repetition, so that all hashes differ.
    pub fn new(repetition: u64, users: u64, absent: u64) -> Self {
        let keys = Keys::new(&[repetition as u8; 32]);
        let unlink = keys.unlink("default");
        let user = |n: u64| keys.user("default", &n.to_string());
        Self {
            tag: unlink.tag("purchase"),
            unlink,
            users: (0..users).map(user).collect(),
            absent: (users..users + absent).map(user).collect(),
        }
    }
}

/// What is asked of every sketch.
pub trait Sketch {
    /// Takes a user in, and says whether they were absent; `false` where it cannot tell.
    fn insert(&mut self, user: UserKey) -> bool;
    /// Whether a user was taken in; `None` where it cannot tell.
    fn contains(&self, user: UserKey) -> Option<bool>;
    /// How many users were taken in.
    fn count(&self) -> f64;
    /// Bytes in memory, the struct included.
    fn memory_bytes(&self) -> usize;
    /// Bytes of the shortest form that it is stored in.
    fn serialized_bytes(&self) -> usize;
}

/// The user sets of one event, one a shard.
pub struct UserSets {
    unlink: UnlinkKey,
    tag: u64,
    sets: Vec<UserSet>,
}

impl UserSets {
    /// Empty ones, as many as the users of the stream need.
    pub fn new(stream: &Stream) -> Self {
        let sets = vec![UserSet::new(); shards(stream.users.len() as u64) as usize];
        Self { unlink: stream.unlink, tag: stream.tag, sets }
    }

    fn shard(&self, user: UserKey) -> usize {
        user.shard(self.sets.len() as u32) as usize
    }
}

impl Sketch for UserSets {
    fn insert(&mut self, user: UserKey) -> bool {
        let (shard, fingerprint) = (self.shard(user), self.unlink.fingerprint(user, self.tag));
        self.sets.get_mut(shard).is_some_and(|set| set.insert(fingerprint, usize::MAX) == Ok(true))
    }

    fn contains(&self, user: UserKey) -> Option<bool> {
        let fingerprint = self.unlink.fingerprint(user, self.tag);
        self.sets.get(self.shard(user)).map(|set| set.contains(fingerprint))
    }

    fn count(&self) -> f64 {
        self.sets.iter().map(UserSet::len).sum::<u64>() as f64
    }

    fn memory_bytes(&self) -> usize {
        self.sets.iter().map(UserSet::memory_bytes).sum()
    }

    fn serialized_bytes(&self) -> usize {
        let mut bytes = Vec::new();
        for set in &self.sets {
            set.encode(&mut bytes);
        }
        bytes.len()
    }
}

/// A Bloom filter, and beside it how many users it had not contained: by itself it does not count.
pub struct Filter {
    filter: BloomFilter,
    absent: u64,
}

impl Filter {
    /// An empty one, made for as many users as it will get.
    pub fn new(stream: &Stream, false_positive_rate: f64) -> Result<Self, Error> {
        let filter = BloomFilterBuilder::with_accuracy(stream.users.len() as u64, false_positive_rate).build()?;
        Ok(Self { filter, absent: 0 })
    }
}

impl Sketch for Filter {
    fn insert(&mut self, user: UserKey) -> bool {
        let is_absent = !self.filter.contains_and_insert(&user);
        self.absent += u64::from(is_absent);
        is_absent
    }

    fn contains(&self, user: UserKey) -> Option<bool> {
        Some(self.filter.contains(&user))
    }

    fn count(&self) -> f64 {
        self.absent as f64
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.filter.estimated_size()
    }

    fn serialized_bytes(&self) -> usize {
        self.filter.serialize().len() + size_of::<u64>()
    }
}

/// Those that count and cannot tell who; `$bytes` makes the stored form.
macro_rules! counting {
    ($sketch:ty, $bytes:expr) => {
        impl Sketch for $sketch {
            fn insert(&mut self, user: UserKey) -> bool {
                self.update(user);
                false
            }

            fn contains(&self, _: UserKey) -> Option<bool> {
                None
            }

            fn count(&self) -> f64 {
                self.estimate()
            }

            fn memory_bytes(&self) -> usize {
                size_of::<Self>() + self.estimated_size()
            }

            fn serialized_bytes(&self) -> usize {
                let bytes: fn(&Self) -> Vec<u8> = $bytes;
                bytes(self).len()
            }
        }
    };
}

counting!(HllSketch, HllSketch::serialize);
counting!(CpcSketch, CpcSketch::serialize);
counting!(ThetaSketch, |sketch| sketch.compact(true).serialize_compressed());
