//! The variable `COUNTERS`: refused with a reason, or patterns that match any name in bounded time.
#![no_main]

use kimball_edge::core::requests::parse_counter_settings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (text, name) = input;
    match parse_counter_settings(text) {
        Ok(settings) => {
            if let Some(setting) = settings.index_of(name).and_then(|index| settings.get(index)) {
                let sizing = setting.sizing(16_000_000, 0, 4);
                assert!(sizing.is_none_or(|sizing| (1..=64).contains(&sizing.fingerprint_bits())));
            }
        }
        Err(invalid) => assert!(invalid.what.starts_with("COUNTERS: ")),
    }
});
