//! What `query!` macros of other libraries check at build time, checked here: every registered statement is prepared on both databases.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::migrations::MIGRATIONS;
use crate::sql::{Dialect, STATEMENTS};
use crate::testing::{postgres, sqlite};

/// Parameters and column names of every statement that can be prepared; the others go to `errors`.
type Shapes = BTreeMap<&'static str, (usize, Vec<String>)>;

fn on_sqlite(path: &str, errors: &mut Vec<String>) -> Shapes {
    let connection = rusqlite::Connection::open(path).expect("opens");
    let mut shapes = Shapes::new();
    for statement in STATEMENTS {
        match connection.prepare(statement.text_for(Dialect::Sqlite)) {
            Ok(prepared) => {
                let columns = prepared.column_names().into_iter().map(str::to_owned).collect();
                shapes.insert(statement.name, (prepared.parameter_count(), columns));
            }
            Err(error) => errors.push(format!("{} on SQLite: {error}", statement.name)),
        }
    }
    shapes
}

async fn on_postgres(url: &str, errors: &mut Vec<String>) -> Shapes {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("connects");
    tokio::spawn(connection);
    let mut shapes = Shapes::new();
    for statement in STATEMENTS {
        match client.prepare(statement.text_for(Dialect::Postgres)).await {
            Ok(prepared) => {
                let types =
                    prepared.columns().iter().map(tokio_postgres::Column::type_).chain(prepared.params());
                for of in types.filter(|of| !crate::db::carries(of)) {
                    errors.push(format!(
                        "{} on PostgreSQL: type {of} cannot be carried, cast it",
                        statement.name
                    ));
                }
                let columns = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
                shapes.insert(statement.name, (prepared.params().len(), columns));
            }
            Err(error) => {
                let message =
                    error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned());
                errors.push(format!("{} on PostgreSQL: {message}", statement.name));
            }
        }
    }
    shapes
}

#[tokio::test]
async fn every_statement_is_understood_by_both_databases() {
    let mut errors = Vec::new();
    let test = sqlite().await;
    let sqlite_shapes = on_sqlite(test.url.strip_prefix("sqlite://").expect("a file"), &mut errors);
    if let Some(test) = postgres().await {
        for (name, shape) in on_postgres(&test.url, &mut errors).await {
            if let Some(other) = sqlite_shapes.get(name).filter(|other| **other != shape) {
                errors.push(format!("{name} has {other:?} on SQLite, {shape:?} on PostgreSQL"));
            }
        }
    }
    assert!(STATEMENTS.len() > 3, "statements were not collected");
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

/// Statements that may read a whole table: small tables, and the operators' page, whose counts end at 10,000.
const READ_A_WHOLE_TABLE: [&str; 7] = [
    "api_keys.list",
    "catalogs.holders",
    "catalogs.in_force",
    "checkouts.recent",
    "overview.events",
    "overview.waiting",
    "webhook_endpoints.list",
];

#[tokio::test]
async fn nothing_reads_a_whole_table_that_grows() {
    let test = sqlite().await;
    let path = test.url.strip_prefix("sqlite://").expect("a file").to_owned();
    let connection = rusqlite::Connection::open(path).expect("opens");
    let mut scanning = BTreeSet::new();
    for statement in STATEMENTS {
        let explained = format!("EXPLAIN QUERY PLAN {}", statement.text_for(Dialect::Sqlite));
        let mut plan = connection.prepare(&explained).expect("a plan");
        let mut rows = plan.raw_query();
        while let Some(row) = rows.next().expect("a row") {
            let step: String = row.get("detail").expect("a step");
            // No table at all, the few keys of a claim, rows counted up to a limit, and a subquery's rows: its own steps are looked at.
            let small = ["SCAN CONSTANT ROW", "SCAN due", "SCAN counted"].contains(&step.as_str())
                || step.ends_with("-ROW VALUES CLAUSE")
                || step.starts_with("SCAN (subquery");
            if step.starts_with("SCAN ") && !step.contains(" USING ") && !small {
                eprintln!("{}: {step}", statement.name);
                scanning.insert(statement.name);
            }
        }
    }
    assert_eq!(scanning, BTreeSet::from(READ_A_WHOLE_TABLE));
}

/// What is asked of each row must not read all rows of a scope: that grows with the square, and a hundred thousand customers are
/// minutes.
#[tokio::test]
async fn nothing_reads_a_whole_scope_for_each_row() {
    let test = sqlite().await;
    let path = test.url.strip_prefix("sqlite://").expect("a file").to_owned();
    let connection = rusqlite::Connection::open(path).expect("opens");
    let (mut asked_of_each, mut found) = (0, Vec::new());
    for statement in STATEMENTS {
        let explained = format!("EXPLAIN QUERY PLAN {}", statement.text_for(Dialect::Sqlite));
        let mut plan = connection.prepare(&explained).expect("a plan");
        let mut rows = plan.raw_query();
        let (mut of_each, mut loops): (BTreeSet<i64>, BTreeSet<i64>) = (BTreeSet::new(), BTreeSet::new());
        while let Some(row) = rows.next().expect("a row") {
            let step: String = row.get("detail").expect("a step");
            let (id, parent): (i64, i64) =
                (row.get("id").expect("an id"), row.get("parent").expect("a parent"));
            if of_each.contains(&parent) || step.starts_with("CORRELATED ") {
                of_each.insert(id);
            }
            // The first table of a join is read once, and the others for each of its rows.
            let table = step.starts_with("SCAN ") || step.starts_with("SEARCH ");
            let joined = table && !loops.insert(parent);
            let inside = of_each.contains(&parent) || joined;
            asked_of_each += usize::from(inside);
            if inside && (step.starts_with("SCAN ") || step.contains("(scope=?)")) {
                found.push(format!("{}: {step}", statement.name));
            }
        }
    }
    assert!(asked_of_each > 10, "plans are not read");
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn names_are_unique_and_placeholders_have_no_gaps() {
    let mut names = BTreeSet::new();
    for statement in STATEMENTS {
        assert!(names.insert(statement.name), "{} is there twice", statement.name);
        let mut numbers: Vec<usize> = statement
            .text
            .split('$')
            .skip(1)
            .filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>(), "{}", statement.name);
        let left = statement.text_for(Dialect::Sqlite);
        assert!(
            !left.contains("{F") && !left.contains("{B") && !left.contains("{I"),
            "{}: unknown fragment",
            statement.name
        );
    }
}

#[test]
fn the_list_of_migrations_is_the_folder() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut files: Vec<String> = fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    let listed: Vec<String> = MIGRATIONS
        .iter()
        .map(|migration| format!("{:04}_{}.sql", migration.version, migration.name))
        .collect();
    assert_eq!(files, listed);
    for (migration, version) in MIGRATIONS.iter().zip(1..) {
        assert_eq!(migration.version, version, "{}", migration.name);
    }
}
