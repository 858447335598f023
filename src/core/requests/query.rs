//! Query strings and the base64 in them.

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD_NO_PAD as STANDARD_NO_PAD, Engine};
use percent_encoding::percent_decode;

use super::{BadRequest, Fault};
use crate::core::settings::limits::QUERY_BYTES;

/// The decoded parameters of a query string, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    parameters: Vec<(String, String)>,
}

impl Query {
    /// Decodes what follows the `?` of a URL. A `+` stands for a space, but in parameters named `*_obj`, which carry
    /// base64.
    ///
    /// # Errors
    /// [`BadRequest`] when it is longer than [`QUERY_BYTES`] or not UTF-8 once decoded.
    ///
    /// # Example
    /// ```
    /// use kimball_edge::core::requests::Query;
    /// let query = Query::parse("namespace=web%2Fshop&event=Sign+up").unwrap();
    /// assert_eq!(query.get("namespace"), Ok(Some("web/shop")));
    /// assert_eq!(query.get("event"), Ok(Some("Sign up")));
    /// ```
    pub fn parse(query: &str) -> Result<Self, BadRequest> {
        let wrong = |must| BadRequest::Parameter { parameter: "query", fault: Fault::Invalid(must) };
        if query.len() > QUERY_BYTES {
            return Err(wrong("must not be longer than 64 KiB"));
        }
        let mut parameters = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name, true).ok_or_else(|| wrong("must be percent-encoded UTF-8"))?;
            let value = decode(value, !name.ends_with("_obj")).ok_or_else(|| wrong("must be percent-encoded UTF-8"))?;
            parameters.push((name, value));
        }
        Ok(Self { parameters })
    }

    /// The value of a parameter that has one.
    ///
    /// # Errors
    /// [`BadRequest`] where it comes with different values.
    pub fn get(&self, name: &'static str) -> Result<Option<&str>, BadRequest> {
        let mut values = self.all(name);
        let first = values.next();
        if values.any(|value| Some(value) != first) {
            let fault = Fault::Invalid("must not come with different values");
            return Err(BadRequest::Parameter { parameter: name, fault });
        }
        Ok(first)
    }

    /// The values of a parameter that may come several times, in their order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.parameters.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

pub(super) fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let text: Cow<'_, str> = if plus_is_space { text.replace('+', " ").into() } else { text.into() };
    percent_decode(text.as_bytes()).decode_utf8().ok().map(Cow::into_owned)
}

/// Decodes base64 of either alphabet, padded or not, white space ignored.
#[must_use]
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let normal: String = text
        .trim_end_matches(|c: char| c == '=' || c.is_whitespace())
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    STANDARD_NO_PAD.decode(normal).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_every_kind() {
        for text in ["eyJhIjogIn4/In0=", "eyJhIjogIn4_In0", " eyJhIjog\nIn4/In0 =", "eyJhIjogIn4/In0"] {
            assert_eq!(decode_base64(text).as_deref(), Some(&br#"{"a": "~?"}"#[..]), "{text}");
        }
        assert_eq!(decode_base64("a=b"), None);
        assert_eq!(decode_base64("é"), None);
    }

    #[test]
    fn parameters() {
        let query = Query::parse("user_obj=a+b/c=%3D&namespace=%C3%BC+x&&flag").unwrap();
        assert_eq!(query.get("user_obj"), Ok(Some("a+b/c==")));
        assert_eq!(query.get("namespace"), Ok(Some("ü x")));
        assert_eq!(query.get("flag"), Ok(Some("")));
        assert_eq!(query.get("none"), Ok(None));
        assert!(Query::parse("a=1&b=2&a=1").unwrap().get("a").is_ok());
        assert!(Query::parse("a=1&b=2&a=2").unwrap().get("a").is_err());
        assert!(Query::parse("a=%ff").is_err());
        assert!(Query::parse(&"a".repeat(QUERY_BYTES + 1)).is_err());
    }
}
