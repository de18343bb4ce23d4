//! The walls of ARCHITECTURE.md, checked against what cargo really links.
//!
//! Normal, build and development dependencies are followed separately: a test may reach further than the product.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "in a test, the panic is the finding"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

const DOMAIN: &str = "quittance-domain";
const STORE: &str = "quittance-store";
const STRIPE: &str = "quittance-stripe";
const MAIL: &str = "quittance-mail";
const ENGINE: &str = "quittance-engine";
const SANDBOX: &str = "quittance-sandbox";
const SERVER: &str = "quittance-server";
const MODELS: &str = "quittance-models";
const SIMULATOR: &str = "quittance-simulator";

/// What drags an executor, a socket or a future into a crate that must have none.
const ASYNC: [&str; 14] = [
    "axum",
    "deadpool",
    "futures",
    "futures-channel",
    "futures-core",
    "futures-util",
    "hyper",
    "mio",
    "reqwest",
    "smol",
    "tokio",
    "tokio-postgres",
    "tokio-util",
    "tower",
];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Normal,
    Build,
    Development,
}

/// The resolved graph: package id to name, and the edges by kind.
struct Graph {
    names: BTreeMap<String, String>,
    edges: BTreeMap<String, Vec<(Kind, String)>>,
    members: BTreeSet<String>,
}

impl Graph {
    fn load() -> Self {
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .args(["metadata", "--format-version=1", "--locked"])
            .output()
            .expect("cargo metadata starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo metadata failed: {errors}");
        Self::parse(&serde_json::from_slice(&output.stdout).expect("cargo prints JSON"))
    }

    fn parse(metadata: &Value) -> Self {
        let names: BTreeMap<String, String> = list(&metadata["packages"])
            .map(|package| (text(&package["id"]), text(&package["name"])))
            .collect();
        let members = list(&metadata["workspace_members"]).map(|id| names[&text(id)].clone()).collect();
        let edges = list(&metadata["resolve"]["nodes"])
            .map(|node| (text(&node["id"]), list(&node["deps"]).flat_map(edge).collect()))
            .collect();
        Self { names, edges, members }
    }

    fn id(&self, name: &str) -> &String {
        let mut found = self.names.iter().filter(|(_, other)| *other == name);
        let (id, _) = found.next().unwrap_or_else(|| panic!("no package {name}"));
        id
    }

    /// The names of all that a package links: its direct dependencies of these kinds, and their normal and build ones.
    fn reaches(&self, name: &str, kinds: &[Kind]) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<&String> = self.direct(self.id(name), kinds);
        while let Some(id) = waiting.pop() {
            if seen.insert(id) {
                waiting.extend(self.direct(id, &[Kind::Normal, Kind::Build]));
            }
        }
        seen.into_iter().map(|id| self.names[id].clone()).collect()
    }

    fn direct(&self, id: &String, kinds: &[Kind]) -> Vec<&String> {
        let edges = self.edges[id].iter();
        edges.filter(|(kind, _)| kinds.contains(kind)).map(|(_, to)| to).collect()
    }

    /// Those of our own crates that a package links, itself left out.
    fn ours(&self, name: &str, kinds: &[Kind]) -> BTreeSet<String> {
        let mut ours: BTreeSet<String> =
            self.reaches(name, kinds).intersection(&self.members).cloned().collect();
        ours.remove(name);
        ours
    }
}

fn edge(dependency: &Value) -> Vec<(Kind, String)> {
    let kind = |value: &Value| match value["kind"].as_str() {
        None => Kind::Normal,
        Some("build") => Kind::Build,
        Some("dev") => Kind::Development,
        Some(other) => panic!("cargo knows a kind of dependency that this test does not: {other}"),
    };
    list(&dependency["dep_kinds"]).map(|value| (kind(value), text(&dependency["pkg"]))).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

const SHIPPED: [Kind; 2] = [Kind::Normal, Kind::Build];
const ALL: [Kind; 3] = [Kind::Normal, Kind::Build, Kind::Development];

#[test]
fn domain_depends_on_no_crate_of_ours_and_on_nothing_asynchronous() {
    let graph = Graph::load();
    assert_eq!(graph.ours(DOMAIN, &ALL), set(&[]));
    let reached = graph.reaches(DOMAIN, &SHIPPED);
    let found: Vec<&String> =
        reached.iter().filter(|name| ASYNC.contains(&name.as_str()) || name.starts_with("async-")).collect();
    assert!(found.is_empty(), "domain links {found:?}");
}

#[test]
fn sandbox_depends_on_no_crate_of_ours_not_even_in_its_tests() {
    assert_eq!(Graph::load().ours(SANDBOX, &ALL), set(&[]));
}

#[test]
fn store_knows_the_domain_and_no_provider() {
    assert_eq!(Graph::load().ours(STORE, &SHIPPED), set(&[DOMAIN]));
}

#[test]
fn providers_know_no_crate_of_ours_but_the_domain() {
    let ours = Graph::load().ours(STRIPE, &SHIPPED);
    assert!(ours.is_subset(&set(&[DOMAIN])), "providers link {ours:?}");
}

#[test]
fn engine_knows_neither_server_nor_sandbox() {
    let graph = Graph::load();
    assert_eq!(graph.ours(ENGINE, &SHIPPED), set(&[DOMAIN, STORE, STRIPE]));
    assert!(!graph.ours(ENGINE, &ALL).contains(SERVER));
}

/// Mail is a courier of the engine's: it knows its channel, and no page and no sandbox.
#[test]
fn mail_knows_the_engine_and_only_the_server_knows_mail() {
    let graph = Graph::load();
    assert_eq!(graph.ours(MAIL, &SHIPPED), set(&[DOMAIN, STORE, STRIPE, ENGINE]));
    for name in graph.members.iter().filter(|name| ![MAIL, SERVER, "quittance-fuzz"].contains(&name.as_str()))
    {
        assert!(!graph.reaches(name, &SHIPPED).contains(MAIL), "{name} reaches mail");
    }
}

/// What a model checks must be what ships, and nothing that ships may know the checker.
#[test]
fn models_know_the_domain_only_and_nobody_knows_them() {
    let graph = Graph::load();
    assert_eq!(graph.ours(MODELS, &ALL), set(&[DOMAIN]));
    for name in graph.members.iter().filter(|name| *name != MODELS) {
        let reached = graph.reaches(name, &ALL);
        assert!(!reached.contains(MODELS) && !reached.contains("stateright"), "{name} reaches the models");
    }
}

#[test]
fn the_simulator_knows_no_server_and_only_the_server_plays_it() {
    let graph = Graph::load();
    assert_eq!(graph.ours(SIMULATOR, &ALL), set(&[DOMAIN, STORE, STRIPE, ENGINE, SANDBOX]));
    let above = set(&[SIMULATOR, SERVER, "quittance-fuzz"]);
    for name in graph.members.iter().filter(|name| !above.contains(*name)) {
        assert!(!graph.reaches(name, &ALL).contains(SIMULATOR), "{name} reaches the simulator");
    }
}

/// No build that anybody ships has a protection taken away.
#[test]
fn mutants_are_in_no_default_build() {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["metadata", "--format-version=1", "--locked"])
        .output()
        .expect("cargo metadata starts");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let mut nodes = 0;
    for node in list(&metadata["resolve"]["nodes"]) {
        nodes += 1;
        assert!(!list(&node["features"]).any(|feature| feature == "mutants"), "{} has mutants", node["id"]);
    }
    assert!(nodes > 100, "the graph was read");
}

#[test]
fn nothing_depends_on_the_tasks() {
    let graph = Graph::load();
    for name in graph.members.iter().filter(|name| *name != "xtask") {
        assert!(!graph.ours(name, &ALL).contains("xtask"), "{name} depends on xtask");
    }
    assert_eq!(graph.ours("xtask", &ALL), set(&[]), "xtask knows the product from outside");
}

/// The test of the test: edges of each kind are told apart and followed.
#[test]
fn a_graph_is_followed_through_normal_edges_only() {
    let node = |id: &str, deps: Value| serde_json::json!({ "id": id, "deps": deps });
    let to = |id: &str, kind: Value| serde_json::json!({ "pkg": id, "dep_kinds": [{ "kind": kind }] });
    let names = ["a", "b", "c", "d"];
    let graph = Graph::parse(&serde_json::json!({
        "packages": names.map(|name| serde_json::json!({ "id": name, "name": name })),
        "workspace_members": names,
        "resolve": { "nodes": [
            node("a", serde_json::json!([to("b", Value::Null), to("d", "dev".into())])),
            node("b", serde_json::json!([to("c", "build".into()), to("d", "dev".into())])),
            node("c", serde_json::json!([])),
            node("d", serde_json::json!([])),
        ] },
    }));
    assert_eq!(graph.ours("a", &SHIPPED), set(&["b", "c"]));
    assert_eq!(graph.ours("a", &ALL), set(&["b", "c", "d"]));
}
