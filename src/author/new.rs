//! `author new`: an exercise that passes `author check` as it is, to be filled.

use std::fs;
use std::path::Path;

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use crate::course::files::safe_path;
use crate::home::{Readers, write_atomic};
use crate::problem::{Exit, Outcome, Problem};

const TEMPLATE: &str = include_str!("template.md");

/// Makes `exercises/NAME/exercise.md` in a course folder and adds it to `course.toml`; nothing that is there is lost.
pub fn run(name: &str, course: &Path) -> Outcome<Exit> {
    let (id, module, title) = read_name(name)?;
    let exercises = course.join("exercises");
    let file = exercises.join(name).join("exercise.md");
    if file.exists() {
        return Err(Problem::new("this exercise is there already")
            .at(&file, None)
            .next("choose another name, or edit that file"));
    }
    let list = exercises.join("course.toml");
    let mut document = read_list(&list)?;
    add_to_list(&mut document, module, name, &list)?;
    let topic = format!("topic-{}", id.replace('.', "-"));
    let text = TEMPLATE
        .replace("{id}", &id)
        .replace("{title}", &title)
        .replace("{topic}", &topic);
    write(&file, text.as_bytes())?;
    write(&list, document.to_string().as_bytes())?;
    println!("{}", file.display());
    eprintln!("Added to {}. Now:", list.display());
    let folder = if course == Path::new(".") {
        " .".to_string()
    } else {
        format!(" {}", course.display())
    };
    eprintln!("  streamlings author preview {id}{folder}     in a second terminal, while you write");
    eprintln!("  streamlings author check{folder} {id}       plays it");
    Ok(Exit::Done)
}

/// `1.4-my-exercise` is exercise 1.4 of module 1.
fn read_name(name: &str) -> Outcome<(String, u32, String)> {
    let wrong = || {
        Problem::new(format!(
            "'{}' is no name for an exercise",
            crate::ui::visible(name)
        ))
        .next("the module, a full stop, the exercise's number, and a few words: 1.4-my-exercise")
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if safe_path(name).is_err() || !name.chars().all(plain) {
        return Err(wrong());
    }
    let (id, words) = name.split_once('-').unwrap_or((name, "new-exercise"));
    let (module, number) = id.split_once('.').ok_or_else(wrong)?;
    let module: u32 = module.parse().map_err(|_| wrong())?;
    number.parse::<u32>().map_err(|_| wrong())?;
    let mut title = words.replace(['-', '_'], " ");
    if let Some(first) = title.get(..1) {
        title = format!("{}{}", first.to_uppercase(), &title[1..]);
    }
    Ok((id.to_string(), module, title))
}

fn read_list(list: &Path) -> Outcome<DocumentMut> {
    let text = match fs::read_to_string(list) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            "id = \"my-course\"\ntitle = \"My course\"\n".to_string()
        }
        Err(error) => return Err(Problem::new(format!("the list can't be read: {error}")).at(list, None)),
    };
    text.parse().map_err(|error: toml_edit::TomlError| {
        Problem::new(format!("this is not TOML: {}", error.message()))
            .at(list, None)
            .next("streamlings author check --syntax names the line")
    })
}

fn add_to_list(document: &mut DocumentMut, module: u32, name: &str, list: &Path) -> Outcome<()> {
    let odd = || Problem::new("'module' has to be written as [[module]]").at(list, None);
    let modules = document
        .entry("module")
        .or_insert(Item::ArrayOfTables(ArrayOfTables::new()))
        .as_array_of_tables_mut()
        .ok_or_else(odd)?;
    let number = |table: &Table| table.get("number").and_then(Item::as_integer);
    let index = modules
        .iter()
        .position(|table| number(table) == Some(i64::from(module)));
    let index = index.unwrap_or_else(|| {
        let mut table = Table::new();
        table["number"] = value(i64::from(module));
        table["title"] = value(format!("Module {module}"));
        modules.push(table);
        modules.len() - 1
    });
    let table = modules.get_mut(index);
    let entries = table
        .ok_or_else(odd)?
        .entry("exercises")
        .or_insert(value(toml_edit::Array::new()))
        .as_array_mut()
        .ok_or_else(|| Problem::new("'exercises' has to be a list").at(list, None))?;
    if !entries.iter().any(|entry| entry.as_str() == Some(name)) {
        entries.push(name);
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> Outcome<()> {
    write_atomic(path, content, Readers::Anyone)
        .map_err(|error| Problem::new(format!("this file can't be written: {error}")).at(path, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::course::{Course, Files};

    #[test]
    fn a_new_exercise_is_sound_and_the_list_keeps_its_form() {
        let folder = tempfile::tempdir().unwrap();
        run("1.1-my-first", folder.path()).unwrap();
        let list = folder.path().join("exercises/course.toml");
        let text = fs::read_to_string(&list).unwrap();
        write(&list, text.replace("[[module]]", "# mine\n[[module]]").as_bytes()).unwrap();
        run("1.2-my-second", folder.path()).unwrap();
        run("3.1-odd_one", folder.path()).unwrap();
        let text = fs::read_to_string(&list).unwrap();
        assert!(text.contains("# mine\n[[module]]"), "{text}");
        assert!(text.contains("[\"1.1-my-first\", \"1.2-my-second\"]"), "{text}");
        let course = Course::from_files(&Files::folder(folder.path()).unwrap()).unwrap();
        assert_eq!(course.exercise("1.1").unwrap().title, "My first");
        assert_eq!(course.exercise("3.1").unwrap().title, "Odd one");
        let problem = run("1.1-my-first", folder.path()).unwrap_err();
        assert!(problem.what.contains("there already"), "{problem}");
    }

    #[test]
    fn a_name_that_is_none_is_told() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "first", "../1.1-x", "1-x", "1.x-y", "1.1/x", "1.1-\"x\""] {
            assert!(run(name, folder.path()).is_err(), "{name}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
