//! The exact side of the law of order: how many subsequences a word of letters has.

use std::collections::BTreeMap;

/// An event on a day.
pub type Letter = (u8, u32);

/// The number of subsequences without equal neighbours, by their length from 1 on.
///
/// What a page passes on is a subsequence of what it sees, so its subsequences are among those of the whole: they are the same if
/// there are as many.
pub fn subsequences(word: &[Letter], length_max: usize) -> Vec<u128> {
    // By letter: those that end in it. Everything that ended in it before does so behind its last occurrence, too.
    let mut ending: BTreeMap<Letter, Vec<u128>> = BTreeMap::new();
    let total =
        |ending: &BTreeMap<Letter, Vec<u128>>, length: usize| ending.values().map(|by| by[length]).sum::<u128>();
    for &letter in word {
        let own = ending.get(&letter).cloned().unwrap_or_else(|| vec![0; length_max]);
        let longer = (1..length_max).map(|length| total(&ending, length - 1) - own[length - 1]);
        let now = std::iter::once(1).chain(longer).collect();
        ending.insert(letter, now);
    }
    (0..length_max).map(|length| total(&ending, length)).collect()
}
