//! The user set against an exact set of the fingerprints that it keeps: insertion, removal, merge, shrinking, recoding.
#![no_main]

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use kimball_edge::core::format::bytes::Reader;
use kimball_edge::core::sets::user_set::UserSet;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Step {
    Insert(Crowded),
    Remove(Crowded),
    Merge(Vec<Crowded>),
    Shrink,
    Recode,
}

/// A fingerprint in one of a few narrow ranges, so that runs are long and collide; or any.
#[derive(Debug, Arbitrary)]
enum Crowded {
    Low(u8),
    High(u8),
    Any(u64),
}

impl Crowded {
    fn fingerprint(&self) -> u64 {
        match *self {
            Self::Low(n) => u64::from(n) << 28,
            Self::High(n) => u64::MAX - (u64::from(n) << 28),
            Self::Any(n) => n,
        }
    }
}

fuzz_target!(|steps: Vec<Step>| {
    let kept = |fingerprint: u64| fingerprint >> (64 - u32::from(UserSet::FINGERPRINT_BITS));
    let (mut set, mut model) = (UserSet::new(), BTreeSet::new());
    for step in &steps {
        match step {
            Step::Insert(number) => {
                let fingerprint = number.fingerprint();
                assert_eq!(set.insert(fingerprint, usize::MAX), Ok(model.insert(kept(fingerprint))));
                assert!(set.contains(fingerprint));
            }
            Step::Remove(number) => {
                let fingerprint = number.fingerprint();
                assert_eq!(set.remove(fingerprint), model.remove(&kept(fingerprint)));
                assert!(!set.contains(fingerprint));
            }
            Step::Merge(numbers) => {
                let mut other = UserSet::new();
                for number in numbers {
                    let _ = other.insert(number.fingerprint(), usize::MAX);
                    model.insert(kept(number.fingerprint()));
                }
                assert_eq!(set.merge(&other), Ok(()));
            }
            Step::Shrink => set.shrink(),
            Step::Recode => {
                let mut bytes = Vec::new();
                set.encode(&mut bytes);
                let mut reader = Reader::new(&bytes);
                set = UserSet::decode(&mut reader, UserSet::FINGERPRINT_BITS).expect("what was encoded decodes");
                assert_eq!(reader.end(), Ok(()));
            }
        }
        assert_eq!(set.len(), model.len() as u64);
    }
    for step in &steps {
        if let Step::Insert(number) | Step::Remove(number) = step {
            assert_eq!(set.contains(number.fingerprint()), model.contains(&kept(number.fingerprint())));
        }
    }
});
