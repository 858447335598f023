//! `ACCEPT_OLDER_STATE`: of which shards storage is taken that is older than what was acknowledged.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;

use super::limits::{NAME_BYTES, SHARDS};
use crate::core::requests::check_name;
use crate::core::state::error::Invalid;

/// The variable.
const NAME: &str = "ACCEPT_OLDER_STATE";

/// Shards whose storage is taken as it is, however old.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OlderState {
    /// None.
    #[default]
    Refused,
    /// Those of these names.
    Of(BTreeSet<String>),
    /// All.
    Accepted,
}

impl OlderState {
    /// Reads the variable: `false`, `true`, or names of shards as `namespace/index`, separated by commas. A name may be
    /// percent-encoded, and must be where it has a comma, a per cent sign, or white space at an end.
    ///
    /// # Errors
    /// [`Invalid`] when it is something else, naming the entry by its position.
    ///
    /// # Example
    /// ```
    /// use kimball_edge::core::settings::older_state::OlderState;
    /// let some = OlderState::parse("shop/3, black%2Cwhite/0").unwrap();
    /// assert!(some.accepts("shop/3") && some.accepts("black,white/0") && !some.accepts("shop/2"));
    /// assert!(OlderState::parse("shop").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text.trim() {
            "" | "false" => return Ok(Self::Refused),
            "true" => return Ok(Self::Accepted),
            _ => {}
        }
        let shards = (1..).zip(text.split(',')).map(|(position, entry)| {
            shard(entry.trim()).ok_or_else(|| Invalid {
                what: format!(
                    "{NAME}: must be `true`, `false`, or names of shards such as `shop/3`, separated by commas; entry {position} is none"
                ),
            })
        });
        shards.collect::<Result<_, _>>().map(Self::Of)
    }

    /// Whether it is taken of this shard.
    #[must_use]
    pub fn accepts(&self, shard: &str) -> bool {
        match self {
            Self::Refused => false,
            Self::Of(shards) => shards.contains(shard),
            Self::Accepted => true,
        }
    }
}

/// The name of a shard, decoded.
fn shard(entry: &str) -> Option<String> {
    let (namespace, index) = entry.rsplit_once('/')?;
    let is_decimal = index == "0" || (index.bytes().all(|byte| byte.is_ascii_digit()) && !index.starts_with('0'));
    if !is_decimal || index.parse::<u64>().ok()? >= SHARDS.max || !is_encoded(namespace) {
        return None;
    }
    let namespace = percent_decode_str(namespace).decode_utf8().ok()?;
    let namespace = check_name(&namespace, NAME_BYTES.max).ok()?;
    Some(format!("{namespace}/{index}"))
}

/// Whether every per cent sign begins a byte.
fn is_encoded(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|rest| rest.as_bytes().first_chunk::<2>().is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_names() {
        for (text, expected) in
            [("", OlderState::Refused), (" false ", OlderState::Refused), ("true", OlderState::Accepted)]
        {
            assert_eq!(OlderState::parse(text), Ok(expected));
        }
        let cases: [(&str, &[&str]); 6] = [
            ("shop/0", &["shop/0"]),
            ("shop/0,shop/63 , a/b/1", &["a/b/1", "shop/0", "shop/63"]),
            ("M%C3%BCller/2,Müller/1", &["Müller/1", "Müller/2"]),
            ("50%25,/1", &[]),
            ("50%25%2C/1", &["50%,/1"]),
            ("true/1", &["true/1"]),
        ];
        for (text, names) in cases {
            let names: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
            match OlderState::parse(text) {
                Ok(parsed) => assert_eq!(parsed, OlderState::Of(names), "{text}"),
                Err(_) => assert!(names.is_empty(), "{text}"),
            }
        }
    }

    #[test]
    fn what_is_no_name_of_a_shard_is_told_by_its_position() {
        for (position, text) in [
            (1, "yes"),
            (1, "TRUE"),
            (1, "shop"),
            (1, "/3"),
            (1, "shop/"),
            (1, "shop/64"),
            (1, "shop/03"),
            (1, "shop/-1"),
            (1, "shop/+1"),
            (1, "shop/x"),
            (1, "sh%op/1"),
            (1, "shop%2/1"),
            (1, "shop%ff/1"),
            (1, "shop%00/1"),
            (2, "shop/1,,shop/2"),
            (2, "shop/1,true"),
            (3, "shop/1,shop/2,"),
        ] {
            let what = OlderState::parse(text).unwrap_err().what;
            assert!(what.starts_with("ACCEPT_OLDER_STATE: must be `true`, `false`, or names of shards"), "{what}");
            assert!(what.ends_with(&format!("entry {position} is none")), "{text}: {what}");
        }
    }
}
