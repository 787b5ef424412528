//! `author schema`: the JSON Schema of every file and block that is TOML, from the types that load them.

use std::path::Path;

use schemars::Schema;
use serde_json::{Map, Value};

use crate::course::checks::CheckKind;
use crate::course::exercise::FrontMatter;
use crate::course::load::{BeliefsFile, CourseFile};
use crate::course::model::{Predict, Setup};
use crate::home::{Readers, write_atomic};
use crate::problem::{Exit, Outcome, Problem};
use crate::quiz::bank::{QuestionsFile, QuizFile};

/// Every schema with the name of its file.
pub fn all() -> Vec<(&'static str, Schema)> {
    vec![
        ("course", schemars::schema_for!(CourseFile)),
        ("beliefs", schemars::schema_for!(BeliefsFile)),
        ("front-matter", schemars::schema_for!(FrontMatter)),
        ("setup", schemars::schema_for!(Setup)),
        ("predict", schemars::schema_for!(Predict)),
        ("check", schemars::schema_for!(CheckKind)),
        ("quiz", schemars::schema_for!(QuizFile)),
        ("questions", schemars::schema_for!(QuestionsFile)),
    ]
}

/// Prints all of them as one JSON object, or writes `NAME.schema.json` files into a folder.
pub fn run(folder: Option<&Path>) -> Outcome<Exit> {
    let Some(folder) = folder else {
        let schemas: Map<String, Value> = all()
            .into_iter()
            .map(|(name, schema)| (name.to_string(), schema.to_value()))
            .collect();
        println!("{}", pretty(&Value::Object(schemas))?);
        return Ok(Exit::Done);
    };
    for (name, schema) in all() {
        let path = folder.join(format!("{name}.schema.json"));
        let text = format!("{}\n", pretty(&schema.to_value())?);
        write_atomic(&path, text.as_bytes(), Readers::Anyone)
            .map_err(|error| Problem::new(format!("the schema can't be written: {error}")).at(&path, None))?;
        println!("{}", path.display());
    }
    Ok(Exit::Done)
}

fn pretty(value: &Value) -> Outcome<String> {
    serde_json::to_string_pretty(value)
        .map_err(|error| Problem::new(format!("the schema can't be worded as JSON: {error}")))
}
