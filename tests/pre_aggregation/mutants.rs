//! A page's rule once more, small and slow, with each of its parts to be left out.

use std::collections::BTreeMap;

use super::subsequences::Letter;

#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub steps_max: u8,
    pub days_max: usize,
    pub letters_max: usize,
    /// What is passed on lowers the numbers of other days.
    pub lowers_other_days: bool,
    /// What finds no room lowers the others.
    pub unseen_lowers: bool,
    /// Nothing is known after a pause.
    pub forgets_at_pauses: bool,
    /// A letter is known right after itself.
    pub knows_itself: bool,
}

pub const RIGHT: Rule = Rule {
    steps_max: 8,
    days_max: 2,
    letters_max: usize::MAX,
    lowers_other_days: true,
    unseen_lowers: true,
    forgets_at_pauses: true,
    knows_itself: true,
};

#[derive(Debug, Clone)]
pub struct Model {
    rule: Rule,
    users: BTreeMap<u8, (u32, BTreeMap<Letter, u8>)>,
}

impl Model {
    pub const fn new(rule: Rule) -> Self {
        Self { rule, users: BTreeMap::new() }
    }

    /// Whether the event is passed on.
    pub fn record(&mut self, user: u8, (event, day): Letter, now_min: u32) -> bool {
        let rule = self.rule;
        let (last_min, numbers) = self.users.entry(user).or_default();
        if rule.forgets_at_pauses && now_min - *last_min >= 30 {
            numbers.clear();
        }
        *last_min = now_min;
        let number = numbers.get(&(event, day)).copied().unwrap_or(1);
        if number > rule.steps_max {
            return false;
        }
        let has_room = numbers.contains_key(&(event, day)) || numbers.len() < rule.letters_max;
        for (other, theirs) in numbers.iter_mut() {
            if (has_room || rule.unseen_lowers) && (rule.lowers_other_days || other.1 == day) {
                *theirs = (*theirs).min(number + 1);
            }
        }
        if has_room {
            numbers.insert((event, day), if rule.knows_itself { u8::MAX } else { number + 1 });
        }
        let mut days: Vec<u32> = numbers.keys().map(|letter| letter.1).collect();
        days.sort_unstable();
        days.dedup();
        let forgotten = days.len().saturating_sub(rule.days_max);
        numbers.retain(|letter, _| !days[..forgotten].contains(&letter.1));
        true
    }
}
