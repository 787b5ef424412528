//! Writes a sample badge as JSON, SVG and PNG into a folder: `cargo run -p streamlings-badge --example sample -- FOLDER [NAME]`.

// Example files, written again by the next run; no state of anybody.
#![allow(clippy::disallowed_methods)]

use std::error::Error;
use std::path::PathBuf;

use streamlings_badge::{Achievement, Award, Email, Holder, Key, bake_png, bake_svg};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().ok_or("usage: sample FOLDER [NAME]")?);
    let name = args.next().unwrap_or_else(|| "Ada Lovelace".into());
    let key = Key::from_secret([7; 32]);
    let award = Award {
        id: [1; 16],
        achievement: Achievement {
            seed: "kafka-flink".into(),
            name: "Kafka and Flink, hands on".into(),
            description: "Creates topics, produces, consumes and windows streams on a running cluster, and knows why it behaves as it does.".into(),
            criteria: "Answered at least 19 of 23 questions right, drawn from a bank on logs, replication, groups, delivery, time and state.".into(),
            max: 23,
            required: 19,
        },
        holder: Holder {
            name: Some(name),
            email: Some(Email { address: "ada@example.org".into(), salt: "c2FsdA".into() }),
        },
        score: 21,
        passed_at: "2026-11-22T18:00:00Z".parse()?,
        issuer_name: "Ada's own machine".into(),
    };
    let signed = key.sign(award.credential(key.did())?, "2026-11-22T18:00:01Z".parse()?)?;
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("badge.json"), signed.to_json())?;
    std::fs::write(folder.join("badge.svg"), bake_svg(&signed)?)?;
    std::fs::write(folder.join("badge.png"), bake_png(&signed)?)?;
    Ok(())
}
