//! Entity tags of a client, which a proxy may have changed on their way.
//!
//! A proxy that compresses an answer marks its tag: Apache and Caddy write `"TAG-gzip"`, Jetty `"TAG--gzip"`, older
//! Apaches `"TAG"-gzip`, nginx `W/"TAG"`. It often does not take that away again from `If-None-Match`.

/// The content codings that are written behind a tag.
const CODINGS: [&str; 8] = ["x-gzip", "gzip", "gz", "brotli", "br", "zstd", "deflate", "compress"];
/// What stands between the two.
const SEPARATORS: [char; 3] = ['-', ';', ':'];

/// Whether an `If-None-Match` has this tag, which is given without quotes (RFC 9110, 13.1.2: compared weakly). What a proxy
/// has written behind it does not matter.
///
/// # Example
/// ```
/// use kimball_edge::core::requests::has_entity_tag;
/// assert!(has_entity_tag("\"a1\"", "a1") && has_entity_tag("\"b2\", W/\"a1-gzip\"", "a1") && has_entity_tag("*", "a1"));
/// assert!(!has_entity_tag("\"a12\"", "a1") && !has_entity_tag("\"b2-gzip\"", "a1"));
/// ```
#[must_use]
pub fn has_entity_tag(if_none_match: &str, tag: &str) -> bool {
    let has = |given: &str| opaque(given).is_some_and(|(_, given)| given == tag || without_codings(given) == tag);
    if_none_match.trim() == "*" || if_none_match.split(',').any(has)
}

/// The same `If-None-Match` without what proxies have written behind its tags.
///
/// # Example
/// ```
/// use kimball_edge::core::requests::without_suffixes;
/// assert_eq!(without_suffixes("\"a1-br\", W/\"b2--gzip\",\"c3\""), "\"a1\", W/\"b2\", \"c3\"");
/// ```
#[must_use]
pub fn without_suffixes(if_none_match: &str) -> String {
    let plain = |given: &str| match opaque(given) {
        Some((weak, tag)) => format!("{weak}\"{}\"", without_codings(tag)),
        None => given.trim().to_owned(),
    };
    if_none_match.split(',').map(plain).collect::<Vec<_>>().join(", ")
}

/// `W/` or nothing, and what stands between the quotes of a tag, with what stands behind them.
fn opaque(given: &str) -> Option<(&str, &str)> {
    let given = given.trim();
    let (weak, quoted) = given.split_at(if given.starts_with("W/") { 2 } else { 0 });
    let rest = quoted.strip_prefix('"')?;
    let tag = match rest.strip_suffix('"') {
        Some(tag) => tag,
        None => without_codings(rest).strip_suffix('"')?,
    };
    (!tag.contains('"')).then_some((weak, tag))
}

fn without_codings(tag: &str) -> &str {
    let shorter = CODINGS.iter().find_map(|coding| {
        let rest = tag.strip_suffix(coding)?;
        let plain = rest.trim_end_matches(SEPARATORS);
        (plain.len() < rest.len() && !plain.is_empty()).then_some(plain)
    });
    shorter.map_or(tag, without_codings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "00ff00ff";

    #[test]
    fn suffixes_of_proxies_do_not_matter() {
        for known in [
            r#""00ff00ff""#,
            r#" W/"00ff00ff" "#,
            r#""00ff00ff-gzip""#,
            r#"W/"00ff00ff-br""#,
            r#""00ff00ff--gzip""#,
            r#""00ff00ff"-gzip"#,
            r#""00ff00ff;gzip""#,
            r#""00ff00ff:zstd""#,
            r#""00ff00ff-br-gzip""#,
            r#""00ff00ff-x-gzip""#,
            r#""x", "00ff00ff-deflate""#,
            r#""00ff00ff-gzip", "x""#,
            "*",
            " * ",
        ] {
            assert!(has_entity_tag(known, TAG), "{known}");
        }
    }

    #[test]
    fn another_tag_is_another_tag() {
        for known in [
            "",
            "00ff00ff",
            r#""00ff00f""#,
            r#""00ff00ff0""#,
            r#""00ff00ffgzip""#,
            r#""00ff00ff-""#,
            r#""00ff00ff-gzip1""#,
            r#""00ff00ff-foo""#,
            r#""x-00ff00ff""#,
            r#""a,00ff00ff""#,
            r#""00ff00ff,b""#,
            r#""00ff00fe-gzip""#,
            r#""gzip""#,
            r#""-gzip""#,
            r#""00ff00ff"x"#,
            r#"w/"00FF00FF""#,
            r#""*""#,
            r#""00ff00ff"-gzip""#,
            r#""00ff00ff"#,
        ] {
            assert!(!has_entity_tag(known, TAG), "{known}");
        }
    }

    #[test]
    fn what_is_no_tag_stays() {
        for known in ["*", "x-gzip", r#""x"#, r#""x""y-br""#] {
            assert_eq!(without_suffixes(known), known);
        }
    }
}
