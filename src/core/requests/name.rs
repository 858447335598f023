//! Names that are given: of events, goals, namespaces and flags.

use super::{Fault, check_name};

/// What draws nothing, beside white space and control characters: the characters that Unicode calls default ignorable
/// (`DerivedCoreProperties`, version 16), annotation marks, and the three that stand for an empty sign. Ascending.
const INVISIBLE: [(char, char); 21] = [
    ('\u{AD}', '\u{AD}'),
    ('\u{34F}', '\u{34F}'),
    ('\u{61C}', '\u{61C}'),
    ('\u{115F}', '\u{1160}'),
    ('\u{17B4}', '\u{17B5}'),
    ('\u{180B}', '\u{180F}'),
    ('\u{200B}', '\u{200F}'),
    ('\u{202A}', '\u{202E}'),
    ('\u{2060}', '\u{206F}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{FE00}', '\u{FE0F}'),
    ('\u{FEFF}', '\u{FEFF}'),
    ('\u{FFA0}', '\u{FFA0}'),
    ('\u{FFF0}', '\u{FFF8}'),
    ('\u{FFF9}', '\u{FFFB}'),
    ('\u{16FE4}', '\u{16FE4}'),
    ('\u{1BCA0}', '\u{1BCA3}'),
    ('\u{1D159}', '\u{1D159}'),
    ('\u{1D173}', '\u{1D17A}'),
    ('\u{E0000}', '\u{E0FFF}'),
];

/// Whether nobody could see this name: it has nothing but white space and characters that draw nothing.
///
/// Names are never changed: "Login" and "Login\u{200B}" are two, as are the composed and the decomposed spelling of an accent.
///
/// # Example
/// ```
/// use kimball_edge::core::requests::is_blank;
/// assert!(is_blank(" \u{3000}") && is_blank("\u{200B}\u{FEFF}"));
/// assert!(!is_blank(" a ") && !is_blank("\u{301}"));
/// ```
#[must_use]
pub fn is_blank(name: &str) -> bool {
    let is_invisible = |c| INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(&c));
    name.chars().all(|c| !c.is_ascii_graphic() && (c.is_whitespace() || c.is_control() || is_invisible(c)))
}

/// Checks a name that is to be stored, if it is new. What is stored already can be blank: earlier versions took that.
///
/// # Errors
/// Those of [`check_name`], and [`Fault`] when it is blank.
pub(super) fn check_new_name(name: &str, bytes_max: u64) -> Result<&str, Fault> {
    let name = check_name(name, bytes_max)?;
    if is_blank(name) { Err(BLANK) } else { Ok(name) }
}

/// What is wrong with a blank name.
pub const BLANK: Fault = Fault::Invalid("must have a visible character");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_names() {
        for name in [
            "",
            " ",
            "\t",
            "\u{A0}\u{2003}\u{2028}\u{3000}",
            "\u{AD}",
            "\u{200D}\u{2060}",
            "\u{FE0F}",
            "\u{E0041}",
            "\u{2800}",
        ] {
            assert!(is_blank(name), "{name:?}");
        }
        for name in ["a", " .", "\u{200B}0", "\u{301}", "\u{1F468}\u{200D}\u{1F469}", "\u{E000}", "\u{FFFD}", "ﷺ"] {
            assert!(!is_blank(name), "{name:?}");
        }
        assert!(INVISIBLE.is_sorted() && INVISIBLE.iter().all(|(first, last)| first <= last));
    }
}
