//! What is wrong with stored bytes, and where: `section 17 (event 16), user set, gap 212: beyond the space of fingerprints`.
//!
//! Whoever reads a part names it ([`Within`]), from the field up to what holds it. Names are those of the byte formats,
//! with positions and numbers of events beside them: never a user, a key or a fingerprint.
//!
//! A page cannot do anything about it and would have to fetch the names: its build knows that bytes are corrupt, and
//! nothing else.

use std::fmt;

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// The bytes end before it does.
    Short,
    /// Bytes are left behind it.
    Long,
    /// It is not that of the content.
    Checksum,
    /// A later version wrote it, or another product.
    Unknown,
    /// No value of this field is like this.
    Range,
    /// It does not come behind the one before it.
    Order,
    /// It is there already.
    Repeated,
    /// A row that must be there is not.
    Missing,
    /// The same content is written in another way.
    Form,
    /// It is no text.
    Text,
    /// The distance leads out of the space of fingerprints.
    Space,
    /// It does not fit what was read before it.
    Misfit,
    /// The seal does not open: other key, or changed bytes.
    Seal,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "the bytes end before it does",
            Self::Long => "bytes are left behind it",
            Self::Checksum => "does not match the content",
            Self::Unknown => "unknown to this version",
            Self::Range => "out of range",
            Self::Order => "out of order",
            Self::Repeated => "there already",
            Self::Missing => "missing",
            Self::Form => "not in the form that is written",
            Self::Text => "not UTF-8",
            Self::Space => "beyond the space of fingerprints",
            Self::Misfit => "does not fit what comes before it",
            Self::Seal => "cannot be unsealed: another HASH_KEY, or changed bytes",
        })
    }
}

/// Stored bytes are not what this version wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corrupt(#[cfg(not(any(feature = "browser", feature = "news")))] Box<named::Damage>);

/// Names the part in which something is corrupt.
pub trait Within: Sized {
    /// It is in this part.
    #[must_use]
    fn within(self, name: &'static str) -> Self;

    /// It is in the part at this position among its kind, from 0.
    #[must_use]
    fn within_nth(self, name: &'static str, nth: u64) -> Self;

    /// The same, with what the part is about: `note`, and the number of it.
    #[must_use]
    fn within_noted(self, name: &'static str, nth: u64, note: &'static str, of: Option<u64>) -> Self;
}

impl<T> Within for Result<T, Corrupt> {
    #[inline]
    fn within(self, name: &'static str) -> Self {
        self.map_err(|corrupt| corrupt.within(name))
    }

    #[inline]
    fn within_nth(self, name: &'static str, nth: u64) -> Self {
        self.map_err(|corrupt| corrupt.within_nth(name, nth))
    }

    #[inline]
    fn within_noted(self, name: &'static str, nth: u64, note: &'static str, of: Option<u64>) -> Self {
        self.map_err(|corrupt| corrupt.within_noted(name, nth, note, of))
    }
}

impl std::error::Error for Corrupt {}

#[cfg(any(feature = "browser", feature = "news"))]
mod unnamed {
    use super::{Corrupt, Defect, Within, fmt};

    impl Corrupt {
        /// Something is wrong.
        #[must_use]
        #[inline]
        pub const fn new(_: Defect) -> Self {
            Self()
        }
    }

    impl Within for Corrupt {
        #[inline]
        fn within(self, _: &'static str) -> Self {
            self
        }

        #[inline]
        fn within_nth(self, _: &'static str, _: u64) -> Self {
            self
        }

        #[inline]
        fn within_noted(self, _: &'static str, _: u64, _: &'static str, _: Option<u64>) -> Self {
            self
        }
    }

    impl fmt::Display for Corrupt {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("stored data is damaged")
        }
    }
}

#[cfg(not(any(feature = "browser", feature = "news")))]
mod named {
    use super::{Corrupt, Defect, Within, fmt};

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Damage {
        defect: Defect,
        /// From the field up.
        parts: Vec<Part>,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Part {
        name: &'static str,
        nth: Option<u64>,
        note: Option<(&'static str, Option<u64>)>,
    }

    impl Corrupt {
        /// Something is wrong, its place still to be named.
        #[must_use]
        pub fn new(defect: Defect) -> Self {
            Self(Box::new(Damage { defect, parts: Vec::new() }))
        }

        /// What is wrong.
        #[must_use]
        pub fn defect(&self) -> Defect {
            self.0.defect
        }

        fn push(mut self, part: Part) -> Self {
            self.0.parts.push(part);
            self
        }
    }

    impl Within for Corrupt {
        fn within(self, name: &'static str) -> Self {
            self.push(Part { name, nth: None, note: None })
        }

        fn within_nth(self, name: &'static str, nth: u64) -> Self {
            self.push(Part { name, nth: Some(nth), note: None })
        }

        fn within_noted(self, name: &'static str, nth: u64, note: &'static str, of: Option<u64>) -> Self {
            self.push(Part { name, nth: Some(nth), note: Some((note, of)) })
        }
    }

    impl fmt::Display for Corrupt {
        /// The place from the outside in, then what is wrong.
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let Damage { defect, parts } = &*self.0;
            for (at, part) in parts.iter().rev().enumerate() {
                let comma = if at == 0 { "" } else { ", " };
                write!(f, "{comma}{part}")?;
            }
            let colon = if parts.is_empty() { "" } else { ": " };
            write!(f, "{colon}{defect}")
        }
    }

    impl fmt::Display for Part {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.name)?;
            if let Some(nth) = self.nth {
                write!(f, " {nth}")?;
            }
            match self.note {
                Some((note, Some(of))) => write!(f, " ({note} {of})"),
                Some((note, None)) => write!(f, " ({note})"),
                None => Ok(()),
            }
        }
    }
}

#[cfg(all(test, not(any(feature = "browser", feature = "news"))))]
mod tests {
    use super::*;

    #[test]
    fn places_are_named_from_the_outside_in() {
        let corrupt = Corrupt::new(Defect::Space).within_nth("gap", 212).within("user set");
        let corrupt: Result<(), Corrupt> = Err(corrupt).within_noted("section", 17, "event", Some(16));
        let text = "section 17 (event 16), user set, gap 212: beyond the space of fingerprints";
        assert_eq!(corrupt.map_err(|corrupt| corrupt.to_string()), Err(text.to_owned()));
        let users = Corrupt::new(Defect::Short).within_noted("section", 0, "all users", None);
        assert_eq!(users.to_string(), "section 0 (all users): the bytes end before it does");
        assert_eq!(Corrupt::new(Defect::Long).to_string(), "bytes are left behind it");
    }
}
