//! Facts about a cluster as librdkafka sees it through the `rdkafka` crate. usage: rdkafka-facts BOOTSTRAP PREFIX [PART …]
//!
//! What a fact is, and how two clusters are compared: `../facts.py` and `../run`.

#![allow(clippy::unwrap_used, reason = "a script that can't go on ends")]

mod admin;
mod facts;
mod groups;
mod records;
mod transactions;

use facts::Facts;

/// What some facts are about, and who tells them.
type Part = (&'static str, fn(&Facts));

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, prefix, wanted @ ..] = words.as_slice() else {
        eprintln!("usage: rdkafka-facts BOOTSTRAP PREFIX [PART ...]");
        return;
    };
    let facts = Facts::new(bootstrap, prefix);
    let parts: [Part; 4] = [
        ("admin", admin::tell),
        ("records", records::tell),
        ("groups", groups::tell),
        ("transactions", transactions::tell),
    ];
    for (name, tell) in parts {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            tell(&facts);
        }
    }
}
