//! What the repository must never hold, and what its own documents must say of it.
//!
//! Looks at every file that git tracks or would track, so a mistake is seen before it is committed.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "in a test, the panic is the finding"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every text file that is tracked, or new and not ignored, with its content.
fn files() -> Vec<(String, String)> {
    let output = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .expect("git lists the files");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git ls-files failed: {errors}");
    let names = String::from_utf8(output.stdout).expect("file names are UTF-8");
    let files: Vec<(String, String)> = names
        .split_terminator('\0')
        .filter_map(|name| Some((name.to_owned(), fs::read_to_string(root().join(name)).ok()?)))
        .collect();
    assert!(files.len() > 20, "git listed only {} files", files.len());
    files
}

/// `file:line: text` for each line that offends.
fn offences(files: &[(String, String)], offends: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (name, content) in files {
        for (number, line) in content.lines().enumerate() {
            if offends(name, line) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

fn is_rust(name: &str) -> bool {
    name.ends_with(".rs")
}

/// Words that must not stand in any file are put together here, so that this file does not hold them.
fn joined(parts: &[&str]) -> String {
    parts.concat()
}

#[test]
fn no_file_holds_a_path_of_one_machine() {
    let homes = ["home", "Users", "work", "root", "farm"].map(|name| joined(&["/", name, "/"]));
    let found = offences(&files(), |_, line| homes.iter().any(|home| starts_a_path(line, home)));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Whether `home` stands where an absolute path begins, not in the middle of an address or a relative path.
fn starts_a_path(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-}/".contains(c))
    })
}

#[test]
fn no_lock_file_names_the_host_of_a_registry() {
    let resolved = joined(&["\"resol", "ved\""]);
    let found =
        offences(&files(), |name, line| name.ends_with("package-lock.json") && line.contains(&resolved));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_file_names_the_host_of_a_registry() {
    let hosts = [
        joined(&["registry.", "npmjs"]),
        joined(&["static.", "crates.io"]),
        joined(&["index.", "crates.io"]),
        joined(&["deb.", "debian.org"]),
        joined(&["files.", "pythonhosted"]),
    ];
    let found = offences(&files(), |_, line| hosts.iter().any(|host| line.contains(host.as_str())));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_rust_file_says_what_it_is_for() {
    let silent: Vec<String> = files()
        .into_iter()
        .filter(|(name, content)| is_rust(name) && !content.starts_with("//! "))
        .map(|(name, _)| name)
        .collect();
    assert!(silent.is_empty(), "no //! head: {}", silent.join(", "));
}

#[test]
fn nothing_promises_instead_of_doing() {
    let words = [
        joined(&["TO", "DO"]),
        joined(&["FIX", "ME"]),
        joined(&["to", "do!("]),
        joined(&["unimple", "mented!("]),
        joined(&["#[ig", "nore"]),
        joined(&["test", ".skip("]),
        joined(&["it", ".skip("]),
    ];
    let code = [".rs", ".mjs", ".js", ".ts", ".sql", ".toml", ".sh"];
    let found = offences(&files(), |name, line| {
        code.iter().any(|ending| name.ends_with(ending))
            && words.iter().any(|word| line.contains(word.as_str()))
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_readme_and_ci_name_the_one_test_command() {
    let command = "cargo xtask test";
    for name in ["README.md", "CONTRIBUTING.md", ".ci/run"] {
        let content = fs::read_to_string(root().join(name))
            .unwrap_or_else(|error| panic!("{name} cannot be read: {error}"));
        let alone = |line: &str| line.trim() == command || line.trim() == format!("stage tests {command}");
        assert!(content.lines().any(alone), "{name} has no line that is exactly `{command}`");
    }
}

/// Dependencies that no source names, and why they are there: (manifest, dependency, reason).
const NEEDED_UNNAMED: [(&str, &str, &str); 4] = [
    ("crates/engine/Cargo.toml", "fastrand", "its tests include the sandbox's year, which names it"),
    ("crates/mail/Cargo.toml", "base64", "its tests include the engine's app, which names it"),
    ("crates/mail/Cargo.toml", "quittance-sandbox", "its tests include the engine's house, which names it"),
    ("crates/mail/Cargo.toml", "quittance-stripe", "its tests include the engine's house, which names it"),
];

/// The names under `[dependencies]`, `[dev-dependencies]` and `[build-dependencies]`, or under another section.
fn dependencies<'a>(manifest: &'a str, section: &str) -> Vec<&'a str> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.trim_matches(['[', ']']).ends_with(section);
        } else if inside && line.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            names.extend(line.split([' ', '.', '=']).next());
        }
    }
    names
}

/// Whether a source names a crate: before a path, or in a `use`.
fn names(source: &str, krate: &str) -> bool {
    source.match_indices(krate).any(|(at, _)| {
        let alone = !source[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let after = &source[at + krate.len()..];
        alone && ["::", ";", " as "].iter().any(|end| after.starts_with(end))
    })
}

#[test]
fn every_dependency_is_used() {
    let files = files();
    let manifests: Vec<_> = files.iter().filter(|(name, _)| name.ends_with("/Cargo.toml")).collect();
    assert!(manifests.len() > 5, "only {} manifests", manifests.len());
    let mut idle = Vec::new();
    for (manifest, text) in &manifests {
        let folder = manifest.trim_end_matches("Cargo.toml");
        for dependency in dependencies(text, "dependencies") {
            let krate = dependency.replace('-', "_");
            let used = files
                .iter()
                .any(|(name, source)| is_rust(name) && name.starts_with(folder) && names(source, &krate));
            let excused = NEEDED_UNNAMED.iter().any(|(m, d, _)| m == manifest && *d == dependency);
            if used == excused {
                idle.push(format!("{manifest}: {dependency}"));
            }
        }
    }
    let root = files.iter().find(|(name, _)| name == "Cargo.toml").expect("a workspace manifest");
    for dependency in dependencies(&root.1, "workspace.dependencies") {
        let wanted = |text: &String| dependencies(text, "dependencies").contains(&dependency);
        if !manifests.iter().any(|(_, text)| wanted(text)) {
            idle.push(format!("Cargo.toml: {dependency}"));
        }
    }
    assert!(idle.is_empty(), "named and not used, or excused and used: {}", idle.join(", "));
}

/// The names of metrics that the sources hand to `counter!`, `gauge!` and `histogram!`.
fn metrics_of(source: &str) -> impl Iterator<Item = &str> {
    ["counter!(", "gauge!(", "histogram!("].into_iter().flat_map(move |start| {
        source.split(start).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
    })
}

#[test]
fn the_table_of_metrics_names_those_that_there_are() {
    let files = files();
    let mut made: Vec<&str> = files
        .iter()
        .filter(|(name, _)| is_rust(name) && name.contains("/src/"))
        .flat_map(|(_, content)| metrics_of(content))
        .collect();
    made.sort_unstable();
    made.dedup();
    let document = fs::read_to_string(root().join("docs/operating.md")).expect("the document is there");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `quittance_")?.split('|').next());
    let mut told: Vec<String> = rows
        .flat_map(|names| names.split('`').filter(|name| name.ends_with(|end: char| end.is_alphanumeric())))
        .map(|name| format!("quittance_{}", name.trim_start_matches("quittance_")))
        .collect();
    told.sort_unstable();
    assert!(made.len() > 15, "{made:?}");
    assert_eq!(told, made, "docs/operating.md on the left, the sources on the right");
}
