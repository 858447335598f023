//! House rules that text can show: layers, sizes, and documents that keep up with the code.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(dir: &str) -> Vec<(PathBuf, String)> {
    files_of("rs", dir)
}

/// The files with this extension in a folder and in those below it.
fn files_of(wanted: &str, dir: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut pending = vec![root().join(dir)];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == wanted) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{dir} has no {wanted} files");
    found
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The part of a file before its tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

fn assert_absent(dir: &str, words: &[&str]) {
    for (path, text) in files(dir) {
        for word in words {
            assert!(!code(&text).contains(word), "{} names {word}", path.display());
        }
    }
}

#[test]
fn core_knows_no_host() {
    assert_absent(
        "src/core",
        &[
            "worker::",
            "wasm_bindgen",
            "js_sys",
            "getrandom",
            "std::time",
            "std::fs",
            "std::net",
            "std::env",
            "Utc::now",
            "rand::",
            // Their hashers draw a random key; one that is given its key does not.
            "RandomState",
            "HashMap::new",
            "HashMap::default",
            "HashSet",
            "crate::edge",
            "crate::browser",
            "println!",
        ],
    );
}

#[test]
fn edge_and_browser_never_name_each_other() {
    assert_absent("src/edge", &["crate::browser", "browser::"]);
    assert_absent("src/browser", &["crate::edge", "edge::"]);
}

/// Imports between the units of the source: a unit is a file, or a folder whose `mod.rs` has more than declarations.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let modules: BTreeMap<String, String> = files("src")
        .into_iter()
        .map(|(path, text)| {
            let path = path.strip_prefix(root().join("src")).unwrap().with_extension("");
            let name = path.to_string_lossy().replace('/', "::");
            (name.strip_suffix("::mod").unwrap_or(&name).to_owned(), text)
        })
        .collect();
    // The entry of the Worker has code of its own above its rooms.
    let is_unit = |name: &str| {
        name != "edge"
            && modules.get(name).is_some_and(|text| {
                code(text).lines().any(|line| {
                    ["use ", "fn ", "pub fn ", "struct ", "pub struct "].iter().any(|word| line.starts_with(word))
                })
            })
    };
    let unit_of = |path: &str| {
        let mut parts: Vec<&str> = path.split("::").collect();
        (1..=parts.len()).map(|length| parts[..length].join("::")).find(|name| is_unit(name)).or_else(|| {
            while !parts.is_empty() && !modules.contains_key(&parts.join("::")) {
                parts.pop();
            }
            (!parts.is_empty()).then(|| parts.join("::"))
        })
    };
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, text) in modules.iter().filter(|(module, _)| *module != "lib") {
        let unit = unit_of(module).unwrap();
        let folder = module.rsplit_once("::").map_or("", |(folder, _)| folder);
        let found = imports.entry(unit.clone()).or_default();
        for statement in code(text).split("\nuse ").skip(1) {
            let statement = statement.split(';').next().unwrap().split_whitespace().collect::<String>();
            let path = match statement.strip_prefix("crate::") {
                Some(path) => path.to_owned(),
                None if statement.starts_with("super::") => statement.replacen("super", folder, 1),
                None => continue,
            };
            let (head, list) = path.split_once('{').map_or((path.as_str(), None), |(head, list)| (head, Some(list)));
            let head = head.trim_end_matches("::");
            let members = list.map_or(vec![head.to_owned()], |list| {
                list.trim_end_matches('}').split(',').map(|member| format!("{head}::{member}")).collect()
            });
            found.extend(members.iter().filter_map(|member| unit_of(member)).filter(|other| *other != unit));
        }
    }
    imports
}

#[test]
fn imports_have_no_circles() {
    let imports = imports();
    assert!(imports.len() > 60, "{}", imports.len());
    // What imports only what is already placed is placed next; what is left over goes in circles.
    let mut left = imports.clone();
    loop {
        let placed: Vec<String> = left
            .iter()
            .filter(|(_, others)| !others.iter().any(|other| left.contains_key(other)))
            .map(|(unit, _)| unit.clone())
            .collect();
        if placed.is_empty() {
            break;
        }
        left.retain(|unit, _| !placed.contains(unit));
    }
    assert!(left.is_empty(), "these import each other in circles: {left:#?}");
}

/// Rooms from the ground up: a room imports from those before it, and from itself.
const EDGE_ROOMS: [&str; 6] = ["host", "http", "gateway", "objects", "handlers", "routes"];

#[test]
fn no_room_of_the_edge_imports_from_one_above_it() {
    let floor = |unit: &str| {
        let room = unit.strip_prefix("edge::")?.split("::").next()?;
        Some((EDGE_ROOMS.iter().position(|name| *name == room).unwrap_or(EDGE_ROOMS.len()), room.to_owned()))
    };
    for (unit, others) in imports() {
        let Some((own, room)) = floor(&unit) else {
            continue;
        };
        for (other, above) in others.iter().filter_map(|other| Some((floor(other)?, other))) {
            assert!(other.0 < own || other.1 == room, "{unit} imports {above}, which lies above it");
            assert!(
                room != "handlers" || other.1 != "objects",
                "{unit} imports {above}: handlers ask objects, by messages"
            );
        }
    }
}

#[test]
fn json_is_parsed_in_one_place() {
    for (path, text) in files("src") {
        if !path.starts_with(root().join("src/core/requests")) {
            for word in ["serde_json::from", "serde_json::Deserializer", ".json::<", ".json()"] {
                assert!(!code(&text).contains(word), "{} parses JSON: {word}", path.display());
            }
        }
    }
}

#[test]
fn files_can_be_read_in_a_sitting() {
    for (path, text) in ["src", "tests", "benches"].into_iter().flat_map(files) {
        let lines = code(&text).lines().count();
        assert!(lines <= LINES_MAX || path.to_string_lossy().contains("/target/"), "{}: {lines} lines", path.display());
    }
}

#[test]
fn the_architecture_names_every_folder_of_the_source() {
    let architecture = read("ARCHITECTURE.md");
    for (path, _) in files("src") {
        let folder = path.parent().unwrap().strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        assert!(
            folder == "src" || architecture.contains(&format!("`{folder}/`")),
            "{folder} is not in ARCHITECTURE.md"
        );
    }
    let manifest = read("Cargo.toml");
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[dev-").next().unwrap();
    for line in dependencies.lines().filter(|line| !line.starts_with('#') && line.contains(" = ")) {
        let name = line.split(" = ").next().unwrap();
        assert!(architecture.contains(&format!("`{name}`")), "{name} has no line in ARCHITECTURE.md");
    }
}

#[test]
fn every_error_code_is_documented_and_tested() {
    let source = read("src/api/code.rs");
    let readme = read("README.md");
    let tests: String = files_of("mjs", "tests/http").into_iter().map(|(_, text)| text).collect();
    let codes: Vec<&str> = source
        .lines()
        .filter(|line| line.contains("=> (") && line.contains(", \""))
        .map(|line| line.split('"').nth(1).unwrap())
        .chain(["worker_reset"])
        .collect();
    assert!(codes.len() > 20, "{codes:?}");
    for code in codes {
        assert!(readme.contains(&format!("`{code}`")), "{code} is not in the README");
        assert!(tests.contains(code), "{code} is in no HTTP test");
    }
}

#[test]
fn every_limit_is_documented_configurable_and_bound() {
    let (readme, bindings) = (read("README.md"), read("selfhost/bindings.capnp"));
    let source = read("src/core/settings/limits.rs");
    let names: Vec<&str> = source.split("name: \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(names.len() > 12, "{names:?}");
    for name in names {
        assert!(readme.contains(&format!("`{name}`")), "{name} is not in the README");
        assert!(bindings.contains(&format!("\"{name}\"")), "{name} is not bound in workerd's configuration");
    }
}
