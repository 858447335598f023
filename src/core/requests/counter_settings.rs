//! The variable `COUNTERS`.

use super::scalar::Scalar;
use super::tree::Json;
use crate::core::settings::counters::{CounterSettings, Draft};
use crate::core::state::error::Invalid;

/// Reads `COUNTERS`: a JSON list of settings; an empty text means none.
///
/// # Errors
/// [`Invalid`] saying where it is not JSON, or which key of which setting is wrong.
pub fn parse_counter_settings(text: &str) -> Result<CounterSettings, Invalid> {
    if text.trim().is_empty() {
        return Ok(CounterSettings::default());
    }
    let invalid = |what: String| Invalid { what: format!("COUNTERS: {what}") };
    let settings = match serde_json::from_str(text) {
        Ok(Json::List(settings)) => settings,
        Ok(_) => return Err(invalid("must be a list of settings".into())),
        Err(error) => return Err(invalid(error.to_string())),
    };
    let drafts = settings.iter().enumerate().map(|(index, setting)| {
        draft(setting).map_err(|(key, must)| invalid(format!("{key} of setting {index}: {must}")))
    });
    CounterSettings::new(&drafts.collect::<Result<Vec<_>, _>>()?)
}

fn draft(setting: &Json) -> Result<Draft, (String, &'static str)> {
    let Json::Object(fields) = setting else {
        return Err(("all".into(), "must be an object"));
    };
    let mut draft = Draft::default();
    let mut has_pattern = false;
    for (key, value) in fields {
        let wrong = |must| Err((key.clone(), must));
        match (key.as_str(), value.scalar()) {
            (_, Scalar::Absent) => {}
            ("pattern", Scalar::Text(text)) => {
                has_pattern = true;
                draft.pattern = text.into_owned();
            }
            ("date_cohort", Scalar::Text(text)) => draft.date_cohort = Some(text.into_owned()),
            ("type", Scalar::Text(text)) => draft.r#type = Some(text.into_owned()),
            ("size", Scalar::Integer(size)) => draft.size = Some(u64::try_from(size).unwrap_or(0)),
            ("error_probability", Scalar::Float(rate)) => draft.error_probability = Some(rate),
            ("error_probability", Scalar::Integer(rate)) => draft.error_probability = Some(rate as f64),
            ("pattern" | "date_cohort" | "type", _) => return wrong("must be a string, once"),
            ("size", _) => return wrong("must be a whole number, once"),
            ("error_probability", _) => return wrong("must be a number, once"),
            _ => return wrong("is not a key of a setting"),
        }
    }
    if has_pattern { Ok(draft) } else { Err(("pattern".into(), "is required")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::settings::counters::CounterSetting;
    use crate::core::state::shard_limits::Sizing;

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
        let of = |event_name| settings.index_of(event_name).and_then(|index| settings.get(index));
        assert!(of("Login").is_some_and(|setting| !setting.is_weekly()));
        assert!(of("blog entry").is_some_and(CounterSetting::is_weekly));
        let sizing = of("anything").and_then(|setting| setting.sizing(1_000, 1, 4));
        assert_eq!(sizing, Some(Sizing { users_max: 3, false_positive_rate: 0.01 }));
        assert!(of("Login").and_then(|setting| setting.sizing(1_000, 0, 4)).is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("5", "COUNTERS: must be a list"),
            ("[5]", "all of setting 0: must be an object"),
            (r#"[["a", "weekly", null, null, null]]"#, "must be an object"),
            (r#"[{"pattern": "a", "pattern": "b"}]"#, "pattern of setting 0: must be a string, once"),
            ("[", "COUNTERS: EOF"),
            (r#"[{"size": 1}]"#, "pattern of setting 0: is required"),
            (r#"[{"pattern": "a", "cohort": "weekly"}]"#, "cohort of setting 0: is not a key"),
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
