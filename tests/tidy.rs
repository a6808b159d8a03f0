//! Habits that a reader relies on, kept by reading the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::served::root;

/// What each crate may use of the others: one downward line, nothing upward or sideways.
const LAYERS: [(&str, &str, &[&str]); 6] = [
    ("tributary-algo", "udfs/algo/Cargo.toml", &[]),
    ("tributary-catalog", "catalog/Cargo.toml", &[]),
    ("tributary-udfs", "udfs/Cargo.toml", &["tributary-algo"]),
    (
        "tributary-sql",
        "sql/Cargo.toml",
        &["tributary-catalog", "tributary-udfs"],
    ),
    (
        "tributary",
        "Cargo.toml",
        &["tributary-catalog", "tributary-sql", "tributary-udfs"],
    ),
    (
        "tributary-bench",
        "bench/Cargo.toml",
        &["tributary", "tributary-algo", "tributary-catalog"],
    ),
];

/// What the pure algorithms know nothing of: columns, SQL, I/O, clocks, async, global randomness.
const NOT_FOR_ALGORITHMS: [&str; 9] = [
    "arrow",
    "chrono",
    "datafusion",
    "getrandom",
    "object_store",
    "parquet",
    "sqlparser",
    "tokio",
    "whoami",
];

#[test]
fn crates_depend_downward_only() {
    for (name, manifest, allowed) in LAYERS {
        let text = fs::read_to_string(root().join(manifest)).unwrap();
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["package"]["name"].as_str(), Some(name), "{manifest}");
        for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let Some(dependencies) = table.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for dependency in dependencies.keys() {
                let own = dependency.starts_with("tributary");
                assert!(
                    !own || allowed.contains(&dependency.as_str()),
                    "{manifest}: {name} must not use {dependency}"
                );
                assert!(
                    name != "tributary-algo" || !NOT_FOR_ALGORITHMS.contains(&dependency.as_str()),
                    "{manifest}: the algorithms are pure and do not use {dependency}"
                );
            }
        }
    }
}

#[test]
fn versions_are_in_the_workspace_only() {
    for (_, manifest, _) in LAYERS {
        let text = fs::read_to_string(root().join(manifest)).unwrap();
        let table: toml::Table = text.parse().unwrap();
        for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let Some(dependencies) = table.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for (dependency, value) in dependencies {
                let inherited = value.get("workspace").and_then(toml::Value::as_bool);
                assert_eq!(
                    inherited,
                    Some(true),
                    "{manifest}: {dependency} is not `workspace = true`"
                );
            }
        }
    }
}

#[test]
fn nothing_is_left_lying_about() {
    // Written apart, so that this file does not hold what it looks for.
    let leftovers = [
        concat!("dbg", "!("),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("#[ig", "nore"),
        concat!("..", "/shared"),
        concat!("/ro", "ot/"),
        concat!("<<<<", "<<<"),
    ];
    let mut found = Vec::new();
    for file in sources() {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            for leftover in leftovers
                .iter()
                .filter(|leftover| line.contains(**leftover))
            {
                found.push(format!("{}:{}: {leftover}", file.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    let silent: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        // A file of tests is what its module says it is.
        .filter(|file| {
            !file
                .components()
                .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
        })
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//! "))
        .collect();
    assert!(
        silent.is_empty(),
        "these files do not open with `//!`: {silent:#?}"
    );
}

#[test]
fn every_relation_function_has_its_sql_file() {
    let stems = |folder: &str, extension: &str| -> BTreeSet<String> {
        let mut stems = BTreeSet::new();
        for file in fs::read_dir(root().join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|found| found == extension) {
                stems.insert(path.file_stem().unwrap().to_string_lossy().into_owned());
            }
        }
        stems
    };
    let functions = stems("udfs/src/functions", "rs");
    let tested = stems("tests/slt/functions", "slt");
    assert!(!functions.is_empty());
    let untested: Vec<_> = functions.difference(&tested).collect();
    assert!(
        untested.is_empty(),
        "no tests/slt/functions/<name>.slt for {untested:?}"
    );
}

/// The project's own text files.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for top in [
        ".ci", "bench", "catalog", "docs", "sql", "src", "tests", "udfs",
    ] {
        collect(&root().join(top), &mut files);
    }
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "Cargo.toml",
        "clippy.toml",
        "deny.toml",
    ] {
        let file = root().join(name);
        if file.is_file() {
            files.push(file);
        }
    }
    assert!(files.len() > 20, "the sources were not found");
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path
                .file_name()
                .is_some_and(|name| name != "target" && name != "__pycache__")
            {
                collect(&path, files);
            }
        } else {
            files.push(path);
        }
    }
}
