//! The variable `COUNTERS`.

use crate::core::counter_settings::{CounterSettings, Draft};
use crate::core::error::Invalid;

/// Reads `COUNTERS`: a JSON list of settings; an empty text means none.
///
/// # Errors
/// [`Invalid`] saying where it is not JSON, or which key of which setting is wrong.
pub fn parse_counter_settings(text: &str) -> Result<CounterSettings, Invalid> {
    if text.trim().is_empty() {
        return Ok(CounterSettings::default());
    }
    let drafts: Vec<Draft> =
        serde_json::from_str(text).map_err(|error| Invalid { what: format!("COUNTERS: {error}") })?;
    CounterSettings::new(&drafts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::counter_settings::CounterSetting;
    use crate::core::limits::Sizing;

    fn refused(text: &str) -> String {
        parse_counter_settings(text).unwrap_err().what
    }

    #[test]
    fn the_first_match_wins() {
        let settings = parse_counter_settings(
            r#"[{"pattern": "^Log\\w+$"}, {"pattern": "(?i)log", "date_cohort": "weekly"},
                {"pattern": "", "type": "bloom_fixed_size", "size": 10, "error_probability": 0.01}]"#,
        )
        .unwrap();
        assert!(settings.of("Login").is_some_and(|setting| !setting.is_weekly()));
        assert!(settings.of("blog entry").is_some_and(CounterSetting::is_weekly));
        let sizing = settings.of("anything").and_then(|setting| setting.sizing(1_000, 1, 4));
        assert_eq!(sizing, Some(Sizing { users_max: 3, false_positive_rate: 0.01 }));
        assert!(settings.of("Login").and_then(|setting| setting.sizing(1_000, 0, 4)).is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("5", "COUNTERS: invalid type"),
            ("[", "COUNTERS: EOF"),
            (r#"[{"size": 1}]"#, "missing field `pattern`"),
            (r#"[{"pattern": "a", "cohort": "weekly"}]"#, "unknown field `cohort`"),
            (r#"[{"pattern": "a"}, {"pattern": "("}]"#, "pattern of setting 1"),
            (r#"[{"pattern": "a", "date_cohort": "monthly"}]"#, "date_cohort of setting 0: must be `weekly`"),
            (r#"[{"pattern": "a", "size": 0}]"#, "size of setting 0"),
            (r#"[{"pattern": "a", "error_probability": 1}]"#, "error_probability of setting 0"),
            (r#"[{"pattern": "a", "type": "hll"}]"#, "type of setting 0"),
            (r#"[{"pattern": "a", "type": "bloom_fixed_size"}]"#, "size of setting 0: is required"),
        ] {
            assert!(refused(text).contains(part), "{text}: {}", refused(text));
        }
        assert!(parse_counter_settings(&format!("[{}]", vec![r#"{"pattern": "a"}"#; 101].join(","))).is_err());
        assert!(parse_counter_settings(&format!(r#"[{{"pattern": "{}"}}]"#, "(a{99}){99}".repeat(9))).is_err());
        assert!(parse_counter_settings("[]").is_ok() && parse_counter_settings(" ").is_ok());
    }
}
