//! The user set against an exact set, its statistics, its size and its encoding.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::hash::Hasher;

use kimball_edge::core::format::bytes::Reader;
use kimball_edge::core::format::corrupt::Corrupt;
use kimball_edge::core::sets::user_set::{Full, UserSet};
use proptest::prelude::*;
use siphasher::sip::SipHasher13;

/// Fingerprints as the product makes them: keyed hashes.
fn fingerprint(n: u64) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(1, 2);
    hasher.write_u64(n);
    hasher.finish()
}

fn set_of(numbers: impl IntoIterator<Item = u64>) -> UserSet {
    let mut set = UserSet::new();
    for n in numbers {
        set.insert(fingerprint(n), usize::MAX).unwrap();
    }
    set
}

fn encoded(set: &UserSet) -> Vec<u8> {
    let mut out = Vec::new();
    set.encode(&mut out);
    out
}

fn decode(bytes: &[u8]) -> Result<UserSet, Corrupt> {
    let mut reader = Reader::new(bytes);
    let set = UserSet::decode(&mut reader, UserSet::FINGERPRINT_BITS)?;
    reader.end()?;
    Ok(set)
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u64),
    Remove(u64),
    Recode,
}

/// Numbers in few narrow ranges, so that runs and clusters are long and collide.
fn crowded() -> impl Strategy<Value = u64> {
    prop_oneof![
        (0..400_u64).prop_map(|n| n << 28),
        (0..64_u64).prop_map(|n| (n << 28) + (1 << 63)),
        (0..64_u64).prop_map(|n| u64::MAX - (n << 28)),
        any::<u64>(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => crowded().prop_map(Step::Insert),
        3 => crowded().prop_map(Step::Remove),
        1 => Just(Step::Recode),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn behaves_like_an_exact_set_of_truncated_fingerprints(steps in prop::collection::vec(step(), 0..1500)) {
        let mut set = UserSet::new();
        let mut model = BTreeSet::new();
        for step in steps {
            match step {
                Step::Insert(n) => prop_assert_eq!(set.insert(n, usize::MAX), Ok(model.insert(n >> 28))),
                Step::Remove(n) => prop_assert_eq!(set.remove(n), model.remove(&(n >> 28))),
                Step::Recode => set = decode(&encoded(&set)).unwrap(),
            }
            prop_assert_eq!(set.len(), model.len() as u64);
        }
        for n in &model {
            prop_assert!(set.contains(n << 28));
            prop_assert!(model.contains(&(n ^ 1)) == set.contains((n ^ 1) << 28));
        }
    }

    #[test]
    fn order_does_not_matter_and_merge_is_union(
        numbers in prop::collection::btree_set(crowded(), 0..600),
        cut in any::<prop::sample::Index>(),
    ) {
        let numbers: Vec<u64> = numbers.into_iter().collect();
        let insert = |numbers: &mut dyn Iterator<Item = &u64>| {
            let mut set = UserSet::new();
            numbers.for_each(|&n| { set.insert(n, usize::MAX).unwrap(); });
            set
        };
        let forward = insert(&mut numbers.iter());
        let backward = insert(&mut numbers.iter().rev());
        prop_assert_eq!(encoded(&forward), encoded(&backward));
        prop_assert_eq!(forward.memory_bytes(), backward.memory_bytes());
        let cut = if numbers.is_empty() { 0 } else { cut.index(numbers.len()) };
        // The parts overlap.
        let mut left = insert(&mut numbers[..cut].iter());
        let right = insert(&mut numbers[cut / 2..].iter());
        left.merge(&right).unwrap();
        prop_assert_eq!(encoded(&left), encoded(&forward));
    }

    #[test]
    fn decoding_anything_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }
}

#[test]
fn counts_are_exact_to_a_hundred_thousandth_and_false_positives_rare() {
    const N: u64 = 1_000_000;
    const PROBES: u64 = 4_000_000;
    let set = set_of(0..N);
    // Expected shortfall n/2^37 = 7.3 users; ten standard deviations above that is below 40.
    assert!(N - set.len() < 40, "{} of {N}", set.len());
    assert!((0..N).all(|n| set.contains(fingerprint(n))));
    let false_positives = (N..N + PROBES).filter(|&n| set.contains(fingerprint(n))).count() as f64;
    // Rate n/2^36 = 1.455e-5: expected 58.2 of 4 million probes, standard deviation 7.6; five of them allowed.
    let expected = N as f64 / (1_u64 << UserSet::FINGERPRINT_BITS) as f64 * PROBES as f64;
    assert!((false_positives - expected).abs() < 5.0 * expected.sqrt(), "{false_positives} against {expected}");
}

#[test]
fn sizes_stay_within_the_promise() {
    for (users, bytes_max) in [(1, 350), (100, 600), (10_000, 43_000), (1_000_000, 4_300_000)] {
        let set = set_of(0..users);
        assert!(set.memory_bytes() <= bytes_max, "{} bytes at {users} users", set.memory_bytes());
    }
    assert!(encoded(&set_of(0..100_000)).len() < 100_000 * 22 / 8 + 100);
}

#[test]
fn growth_is_refused_where_there_is_no_room_and_repeats_are_not() {
    let mut set = UserSet::new();
    assert_eq!(set.insert(fingerprint(0), 8), Err(Full::Memory));
    assert!(set.is_empty());
    let mut n = 19;
    (0..=n).for_each(|n| assert_eq!(set.insert(fingerprint(n), 1_000), Ok(true)));
    while set.insert(fingerprint(n + 1), 0).is_ok() {
        n += 1;
    }
    assert!(n >= 40, "one table of 64 slots took only {n}");
    let before = encoded(&set);
    assert_eq!(set.insert(fingerprint(n + 1), 0), Err(Full::Memory));
    assert_eq!(set.insert(fingerprint(0), 0), Ok(false));
    assert_eq!(encoded(&set), before);
    assert_eq!(set.insert(fingerprint(n + 1), usize::MAX), Ok(true));
}

#[test]
fn a_few_users_are_a_list_and_many_a_table_and_back() {
    let mut set = UserSet::new();
    let empty = set.memory_bytes();
    let mut sizes = Vec::new();
    for n in 0..40 {
        let told = set.growth_bytes(1);
        let before = set.memory_bytes();
        assert_eq!(set.insert(fingerprint(n), set.growth_bytes(1)), Ok(true));
        assert_eq!(set.memory_bytes() - before, told);
        sizes.push(set.memory_bytes() - empty);
    }
    // Four fingerprints of 8 bytes at a time below 16 users, then a table of 64 slots.
    assert_eq!([sizes[0], sizes[3], sizes[4], sizes[14]], [32, 32, 64, 128]);
    assert!(sizes[15] > 250 && sizes[39] == sizes[15], "{sizes:?}");
    let whole = encoded(&set);
    for n in 1..40 {
        assert!(set.remove(fingerprint(n)));
        assert!(!set.contains(fingerprint(n)) && set.contains(fingerprint(0)));
    }
    set.shrink();
    assert_eq!(set.memory_bytes() - empty, 32);
    assert_eq!(encoded(&set), encoded(&set_of(0..1)));
    (1..40).for_each(|n| assert_eq!(set.insert(fingerprint(n), usize::MAX), Ok(true)));
    assert_eq!(encoded(&set), whole);
    // What has room for no table stays a list.
    let mut set = set_of(0..15);
    let before = encoded(&set);
    assert_eq!(set.insert(fingerprint(15), 100), Err(Full::Memory));
    assert_eq!(encoded(&set), before);
}

#[test]
fn truncated_and_overlong_encodings_are_refused() {
    let bytes = encoded(&set_of(0..200));
    assert!(decode(&bytes).is_ok());
    for len in 0..bytes.len() {
        assert!(decode(&bytes[..len]).is_err(), "cut to {len}");
    }
    assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
    // A flipped bit is either refused or another set of the same size: checksums are the frame's business.
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(set) = decode(&flipped) {
            assert_eq!(encoded(&set), flipped);
        }
    }
    // A count that the bytes cannot hold takes no memory.
    let mut huge = Vec::new();
    kimball_edge::core::format::bytes::put_varint(&mut huge, UserSet::CAPACITY_MAX);
    huge.extend_from_slice(&[13, 1, 0]);
    assert!(decode(&huge).is_err());
}

#[test]
fn other_numbers_of_bits_keep_their_rate_and_their_encoding() {
    const N: u64 = 4_000;
    const PROBES: u64 = 1_000_000;
    for bits in [16, 24, 48, UserSet::FINGERPRINT_BITS_MAX] {
        let mut set = UserSet::with_fingerprint_bits(bits).unwrap();
        for n in 0..N {
            set.insert(fingerprint(n), usize::MAX).unwrap();
        }
        assert!((0..N).all(|n| set.contains(fingerprint(n))));
        let false_positives = (N..N + PROBES).filter(|&n| set.contains(fingerprint(n))).count() as f64;
        let expected = set.len() as f64 / (1_u64 << bits) as f64 * PROBES as f64;
        // Six standard deviations of a Poisson variable.
        assert!((false_positives - expected).abs() <= 6.0 * expected.sqrt() + 1.0, "{bits}: {false_positives}");
        let bytes = encoded(&set);
        let decoded = UserSet::decode(&mut Reader::new(&bytes), bits).unwrap();
        assert!(decoded == set && decoded.memory_bytes() == set.memory_bytes());
        let half = N / 2;
        assert!((0..half).all(|n| set.remove(fingerprint(n)) || bits == 16));
        set.shrink();
        assert!((half..N).all(|n| set.contains(fingerprint(n)) || bits == 16));
        assert_eq!(UserSet::new().merge(&set), Err(Full::Capacity));
    }
    let mut smallest = UserSet::with_fingerprint_bits(16).unwrap();
    for n in 0..=u16::MAX {
        let inserted = smallest.insert(u64::from(n) << 48, usize::MAX);
        assert_eq!(inserted, if u64::from(n) < smallest.capacity_max() { Ok(true) } else { Err(Full::Capacity) });
    }
    assert!(UserSet::with_fingerprint_bits(15).is_none() && UserSet::with_fingerprint_bits(57).is_none());
}

/// Keyed hashes never lie like this; a damaged or hostile encoding may.
#[test]
fn fingerprints_that_no_table_of_their_number_takes_are_refused_without_growing_for_them() {
    const BITS: u8 = UserSet::FINGERPRINT_BITS_MAX;
    const N: u64 = 1_000;
    let at_the_end = |n: u64| u64::MAX - (n << (u64::BITS - u32::from(BITS)));
    let mut set = UserSet::with_fingerprint_bits(BITS).unwrap();
    let refused = (0..N).find_map(|n| Some((n, set.insert(at_the_end(n), usize::MAX).err()?)));
    let (taken, full) = refused.unwrap();
    assert_eq!((full, set.len()), (Full::Capacity, taken));
    assert!((0..taken).all(|n| set.contains(at_the_end(n))));
    assert!(set.memory_bytes() < 100_000, "{}", set.memory_bytes());

    // The encoding: the first gap leads close to the end, all others are 0.
    let k = ((1_u64 << BITS) / N).ilog2();
    let first = (1_u64 << BITS) - N;
    let mut bits = vec![true; (first >> k) as usize];
    bits.push(false);
    bits.extend((0..k).map(|bit| first >> bit & 1 == 1));
    bits.extend(vec![false; (N as usize - 1) * (k as usize + 1)]);
    let stream: Vec<u8> =
        bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit))).collect();
    let mut bytes = Vec::new();
    kimball_edge::core::format::bytes::put_varint(&mut bytes, N);
    bytes.push(k as u8);
    kimball_edge::core::format::bytes::put_varint(&mut bytes, stream.len() as u64);
    bytes.extend_from_slice(&stream);
    let refused = UserSet::decode(&mut Reader::new(&bytes), BITS).unwrap_err();
    assert_eq!(refused.to_string(), "user set, gaps: out of range");
}
