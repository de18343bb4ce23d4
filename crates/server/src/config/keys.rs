//! Which keys there are, so that a misspelt one is answered with the nearest that exists.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::{Config, Mail, Secret, Stripe, Sweep};

/// Every key by its section; the top level is the empty section.
pub(super) fn all() -> BTreeMap<String, Vec<String>> {
    let named = || Some(Secret::new(String::new()));
    let full = Config {
        public_url: Some(String::new()),
        app_url: Some(String::new()),
        notice_rules: Some(String::new()),
        secret: named(),
        stripe: Stripe {
            secret_key: named(),
            publishable_key: Some(String::new()),
            webhook_secret: named(),
            account: Some(String::new()),
            calls_per_second: Some(1),
            calls_per_endpoint_per_second: Some(1),
            ..Stripe::default()
        },
        sweep: Sweep { schedule: Some(String::new()), ..Sweep::default() },
        mail: Mail::full(),
        ..Config::default()
    };
    let table = Table::try_from(full).unwrap_or_default();
    let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in table {
        if let Value::Table(inner) = value {
            sections.insert(key, inner.keys().cloned().collect());
        } else {
            sections.entry(String::new()).or_default().push(key);
        }
    }
    sections
}

/// The first key of a file that does not exist, with the nearest that does: `stripe.secert_key`, `secret_key`.
pub(super) fn unknown(file: &Table) -> Option<(String, String)> {
    let known = all();
    for (key, value) in file {
        let sections = known.keys().filter(|name| !name.is_empty());
        let top = known.get("").into_iter().flatten();
        match (value, known.get(key)) {
            (Value::Table(inner), Some(keys)) => {
                if let Some(stray) = inner.keys().find(|name| !keys.contains(name)) {
                    let here = nearest(stray, keys.iter());
                    let elsewhere = known.iter().find(|(_, keys)| keys.contains(stray));
                    let hint = match elsewhere {
                        Some((section, _)) => place(section, stray),
                        None => here,
                    };
                    return Some((format!("{key}.{stray}"), hint));
                }
            }
            (Value::Table(_), None) => return Some((format!("[{key}]"), nearest(key, sections))),
            (_, _) if known.get("").is_some_and(|keys| keys.contains(key)) => {}
            (_, _) => {
                let inside = known.iter().find(|(section, keys)| !section.is_empty() && keys.contains(key));
                let hint = inside.map_or_else(|| nearest(key, top), |(section, _)| place(section, key));
                return Some((key.clone(), hint));
            }
        }
    }
    None
}

fn place(section: &str, key: &str) -> String {
    if section.is_empty() { format!("{key} (above all sections)") } else { format!("{key} in [{section}]") }
}

/// The most similar name.
pub(super) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a String>) -> String {
    names.min_by_key(|name| distance(word, name)).cloned().unwrap_or_default()
}

/// How many letters must be added, removed or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX - 1);
            let swap = at(&row, j) + usize::from(from != *to);
            let best = swap.min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            next.push(best);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
