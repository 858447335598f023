//! What a page remembers of the order of events: a number for each event that a user did on a day.
//!
//! A *letter* is an event on a day, a user's *word* their letters in order. The number of a letter `a` is 1 plus the length of the
//! shortest `u` that is a subsequence of the word while `u a` is not, where no two neighbours in `u a` are equal. Another `a` tells a
//! server something new only if that number is at most [`STEPS_MAX`]; one that is greater is stored as [`KNOWN`]. Words with equal
//! subsequences (I. Simon, Piecewise testable events, 1975) lead every funnel of so many steps to the same state.
//!
//! Promises:
//! - what is passed on has the same subsequences of at most [`STEPS_MAX`] letters, without equal neighbours, as the whole word;
//! - a letter that is not remembered has the number 1, the least there is: forgetting passes on more, never less. What finds no room
//!   still lowers the numbers of the letters that are remembered;
//! - of each user the latest [`DAYS_MAX`] days are remembered, and nothing after a pause: another page may have gone on meanwhile.
//!
//! Users are keyed hashes. The time is passed in, in minutes.
//!
//! | part | form |
//! |---|---|
//! | number of users | LEB128 |
//! | per user, ascending: hash; minute of the last event, number of letters (not 0) | 8 bytes; LEB128 each |
//! | per letter, ascending: days since the one before it (the first: since year 0), event; number | LEB128 each; 1 byte |

use crate::core::format::bytes::{Reader, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::periods::day::Day;
use crate::core::requests::Level;

/// What users are hashed with, apart from all events.
pub(super) const TAG: u64 = u64::MAX;
/// Steps of a funnel at most, and the length up to which subsequences are kept.
pub const STEPS_MAX: u8 = 8;
/// Days of a user that are remembered.
const DAYS_MAX: usize = 2;
/// The number of a letter that tells nothing new.
const KNOWN: u8 = STEPS_MAX + 1;
/// Minutes without an event after which a user's order is forgotten.
const PAUSE_MIN: u32 = 30;
/// The same where only days count, and pages may take turns as they like: no day that is remembered is as old.
const DAYS_MIN: u32 = DAYS_MAX as u32 * 1_440;

/// The letters of all users of a namespace.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    /// Ascending by their hash.
    users: Vec<User>,
    /// Letters of all of them.
    letters: usize,
    /// The minute in which it was last looked for users who have paused.
    swept_min: u32,
}

#[derive(Debug, Clone)]
struct User {
    hash: u64,
    last_min: u32,
    /// Ascending by day and event.
    letters: Vec<Letter>,
}

/// Day, event and number in one: 24, 32 and 8 bits.
#[derive(Debug, Clone, Copy)]
struct Letter(u64);

impl Letter {
    fn new(day: Day, event: u32, number: u8) -> Self {
        Self(u64::from(day.number()) << 40 | u64::from(event) << 8 | u64::from(number))
    }

    const fn day(self) -> u32 {
        (self.0 >> 40) as u32
    }

    const fn event(self) -> u32 {
        (self.0 >> 8) as u32
    }

    /// Without the number.
    const fn place(self) -> u64 {
        self.0 >> 8
    }

    const fn number(self) -> u8 {
        self.0 as u8
    }

    const fn lower(&mut self, most: u8) {
        if self.number() > most {
            self.0 = self.0 & !0xff | most as u64;
        }
    }
}

/// What an event is for the order of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Its letter is not remembered.
    New,
    /// Its letter is remembered with this number, at which it tells something new.
    Behind(u8),
    /// It tells nothing new.
    Known,
}

impl Marks {
    /// Bytes of memory that it takes.
    pub(super) const fn bytes(&self) -> usize {
        self.users.len() * size_of::<User>() + self.letters * size_of::<Letter>()
    }

    /// Forgets users who have paused, or seem to because the clock was set.
    pub(super) fn forget_paused(&mut self, now_min: u32, level: Level) {
        if self.swept_min == now_min {
            return;
        }
        self.swept_min = now_min;
        let pause_min = if level == Level::Order { PAUSE_MIN } else { DAYS_MIN };
        self.users.retain(|user| now_min.checked_sub(user.last_min).is_some_and(|passed| passed < pause_min));
        self.letters = self.users.iter().map(|user| user.letters.len()).sum();
    }

    /// What an event is that a user does on a day. Where it is known, notes that they have not paused.
    pub(super) fn look(&mut self, hash: u64, event: u32, day: Day, now_min: u32, level: Level) -> Mark {
        let Some(user) = self.find(hash).ok().and_then(|at| self.users.get_mut(at)) else {
            return Mark::New;
        };
        match user.find(Letter::new(day, event, 0)).ok().and_then(|at| user.letters.get(at)) {
            None => Mark::New,
            Some(letter) if level == Level::Order && letter.number() < KNOWN => Mark::Behind(letter.number()),
            Some(_) => {
                user.last_min = now_min;
                Mark::Known
            }
        }
    }

    /// Takes an event in that is passed on: `event` is its number, if it has one, and `room` the bytes that there are for it.
    /// Answers whether it is remembered.
    pub(super) fn pass(
        &mut self,
        hash: u64,
        event: Option<u32>,
        day: Day,
        mark: Mark,
        now_min: u32,
        room: usize,
    ) -> bool {
        let number = match mark {
            Mark::New => 1,
            Mark::Behind(number) => number,
            Mark::Known => return true,
        };
        let found = self.find(hash);
        if let Some(user) = found.ok().and_then(|at| self.users.get_mut(at)) {
            user.last_min = now_min;
            for letter in &mut user.letters {
                letter.lower(number + 1);
            }
        }
        let Some(event) = event else { return false };
        let cost = size_of::<Letter>() + if found.is_err() { size_of::<User>() } else { 0 };
        if number == 1 && cost > room {
            return false;
        }
        if let Err(at) = found {
            self.users.reserve_exact(1);
            self.users.insert(at, User { hash, last_min: now_min, letters: Vec::new() });
        }
        if let Some(user) = self.users.get_mut(found.unwrap_or_else(|at| at)) {
            self.letters -= user.letters.len();
            user.put(Letter::new(day, event, KNOWN));
            self.letters += user.letters.len();
        }
        true
    }

    fn find(&self, hash: u64) -> Result<usize, usize> {
        self.users.binary_search_by_key(&hash, |user| user.hash)
    }

    /// Appends the encoding.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.users.len() as u64);
        for user in &self.users {
            out.extend_from_slice(&user.hash.to_le_bytes());
            put_varint(out, user.last_min.into());
            put_varint(out, user.letters.len() as u64);
            let mut day = 0;
            for letter in &user.letters {
                put_varint(out, u64::from(letter.day() - day));
                put_varint(out, letter.event().into());
                out.push(letter.number());
                day = letter.day();
            }
        }
    }

    /// Reads what [`Self::encode`] wrote, of so many events.
    ///
    /// # Errors
    /// [`Corrupt`] for anything else.
    pub(super) fn decode(reader: &mut Reader<'_>, events: usize) -> Result<Self, Corrupt> {
        let mut marks = Self::default();
        for nth in 0..reader.varint().within("number of users")? {
            let user = User::decode(reader, events).within_nth("user", nth)?;
            if marks.users.last().is_some_and(|last| last.hash >= user.hash) {
                return Err(Corrupt::new(Defect::Order).within_nth("user", nth));
            }
            marks.letters += user.letters.len();
            marks.users.push(user);
        }
        Ok(marks)
    }
}

impl User {
    fn find(&self, letter: Letter) -> Result<usize, usize> {
        self.letters.binary_search_by_key(&letter.place(), |letter| letter.place())
    }

    /// Adds a letter, or gives it another number, and forgets days beyond the latest.
    fn put(&mut self, letter: Letter) {
        match self.find(letter) {
            Ok(at) => self.letters.iter_mut().skip(at).take(1).for_each(|old| *old = letter),
            Err(at) => {
                self.letters.reserve_exact(1);
                self.letters.insert(at, letter);
            }
        }
        let mut days = 0;
        let mut latest = u32::MAX;
        let is_late = |letter: &&Letter| {
            days += usize::from(letter.day() != latest);
            latest = letter.day();
            days <= DAYS_MAX
        };
        let kept = self.letters.iter().rev().take_while(is_late).count();
        self.letters.drain(..self.letters.len() - kept);
    }

    fn decode(reader: &mut Reader<'_>, events: usize) -> Result<Self, Corrupt> {
        let hash = reader.u64().within("hash")?;
        let last_min = reader.varint_below(1 << 32).within("minute")? as u32;
        let mut user = Self { hash, last_min, letters: Vec::new() };
        let (mut day, mut days) = (0, 0);
        for nth in 0..reader.varint().within("number of letters")? {
            let since = reader.varint().within_nth("day", nth)?;
            days += usize::from(nth == 0 || since > 0);
            day = since.saturating_add(day);
            let misfit = || Corrupt::new(Defect::Range).within_nth("day", nth);
            let known = Day::of_number(day).filter(|_| days <= DAYS_MAX).ok_or_else(misfit)?;
            let event = reader.varint_below(events as u64).within_nth("event", nth)? as u32;
            let letter = Letter::new(known, event, reader.u8().within_nth("number", nth)?);
            if !(2..=KNOWN).contains(&letter.number()) {
                return Err(Corrupt::new(Defect::Range).within_nth("number", nth));
            }
            if user.letters.last().is_some_and(|last| last.place() >= letter.place()) {
                return Err(Corrupt::new(Defect::Order).within_nth("event", nth));
            }
            user.letters.push(letter);
        }
        if user.letters.is_empty() {
            return Err(Corrupt::new(Defect::Range).within("number of letters"));
        }
        Ok(user)
    }
}
