//! Flag specifications: refused, or stored as a text that reads as the same flag; and evaluated at any time for any draw.
#![no_main]

use kimball_edge::core::flags::{EVERYBODY, FlagJson, User};
use kimball_edge::core::requests::{parse_flag_spec, parse_stored_flag};
use kimball_edge_fuzz::{FLAGS, REQUEST};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &str, i64, i64)| {
    let (body, stored, now, later) = input;
    let _ = parse_stored_flag(stored);
    // The times that a clock can show.
    let clock = 0..=253_402_300_799;
    if !clock.contains(&now) || !clock.contains(&later) {
        return;
    }
    let Ok(new) = parse_flag_spec(body, &REQUEST, &FLAGS, now) else { return };
    let flag = new.clone().succeed(None, now);
    let replaced = new.succeed(Some(&flag), later);
    for flag in [&flag, &replaced] {
        let text = json(&FlagJson::stored(flag));
        assert_eq!(parse_stored_flag(&text).as_ref(), Ok(flag), "{text}");
        let _ = json(&FlagJson::shown(flag));
        let user = User { id: Some("ann".to_owned()), ..User::default() };
        flag.evaluate(&user, later, &mut || 0);
        flag.evaluate(&User::default(), later, &mut || u32::MAX);
        if let Some(rollout) = flag.rollout {
            let (sooner, later) = (rollout.threshold(now.min(later)), rollout.threshold(now.max(later)));
            assert!(sooner <= later && later <= EVERYBODY, "a rollout never goes back");
        }
    }
});

fn json(flag: &FlagJson<'_>) -> String {
    serde_json::to_string(flag).expect("a flag is JSON")
}
