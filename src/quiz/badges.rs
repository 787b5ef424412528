//! `badge show|verify|sign|issue`.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};
use streamlings_badge::{Container, Did, MAX_FILE_BYTES, Picture, Refusal, Trust, Verified, Verifier};

use crate::home::Home;
use crate::problem::{Exit, Outcome, Problem};
use crate::quiz::award;
use crate::quiz::keys::Keys;
use crate::ui;

/// What one file turned out to be.
enum Verdict {
    Whole(Box<Verified>),
    False(Refusal),
}

/// Reads a badge file, not more of it than a badge can have.
fn read(path: &Path) -> Outcome<Vec<u8>> {
    let failed =
        |error: std::io::Error| Problem::new(format!("the badge can't be read: {error}")).at(path, None);
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

/// `badge verify`: 0 whole (and by a trusted key, where one is named), 1 false or by another key, 2 no badge.
pub(crate) fn verify(
    files: &[PathBuf],
    trust: &[String],
    email: Option<&str>,
    as_json: bool,
) -> Outcome<Exit> {
    let mut verifier = Verifier::at(Timestamp::now());
    for text in trust {
        verifier = verifier.trusting(did(text)?);
    }
    let mut worst = Exit::Done;
    let mut values = Vec::new();
    for path in files {
        let verdict = match verifier.verify(&read(path)?) {
            Ok(verified) => Verdict::Whole(Box::new(verified)),
            Err(refusal) if refusal.is_no_badge() => {
                return Err(Problem::new(refusal.to_string()).at(path, None).next(
                    "a badge is the .json, .svg or .png file that `streamlings quiz` wrote, unchanged",
                ));
            }
            Err(refusal) => Verdict::False(refusal),
        };
        if exit(&verdict, email) != Exit::Done {
            worst = Exit::NotYet;
        }
        if as_json {
            values.push(to_json(path, &verdict, email));
        } else {
            print!("{}", words(path, &verdict, email));
        }
    }
    if as_json {
        let value = if let [one] = values.as_slice() {
            one.clone()
        } else {
            json!(values)
        };
        println!("{value:#}");
    }
    Ok(worst)
}

fn did(text: &str) -> Outcome<Did> {
    text.parse().map_err(|error| {
        Problem::new(format!("'{text}' is no did:key of an Ed25519 key: {error}"))
            .next("`streamlings key show` prints yours; an instructor's comes from the instructor, not from the badge")
    })
}

fn exit(verdict: &Verdict, email: Option<&str>) -> Exit {
    let Verdict::Whole(verified) = verdict else {
        return Exit::NotYet;
    };
    let held = email.is_none_or(|address| verified.credential.is_held_by(address));
    if held && verified.trust != Trust::OtherKey {
        Exit::Done
    } else {
        Exit::NotYet
    }
}

fn words(path: &Path, verdict: &Verdict, email: Option<&str>) -> String {
    let name = ui::visible(&path.display().to_string()).into_owned();
    let verified = match verdict {
        Verdict::False(refusal) => {
            let why = ui::indented(&ui::visible(&sentence(&refusal.to_string())), 2, 2, ui::width());
            return format!("FALSE  {name}\n{why}  Don't rely on anything that it says or shows.\n");
        }
        Verdict::Whole(verified) => verified,
    };
    let head = match verified.trust {
        Trust::Trusted => "valid, trusted",
        Trust::SelfIssued => "valid, self-issued",
        Trust::OtherKey => "valid, but NOT BY A KEY THAT YOU TRUST",
    };
    format!(
        "{head}  {name}\n{}{}",
        details(verified, email),
        proven(verified.trust)
    )
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>() + letters.as_str() + ".")
        .unwrap_or_default()
}

/// What the badge says, line by line.
fn details(verified: &Verified, email: Option<&str>) -> String {
    let credential = &verified.credential;
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        text.push_str(&ui::indented(
            &ui::visible(&format!("{label:<10}{value}")),
            2,
            12,
            ui::width(),
        ));
    };
    line(
        "What",
        format!(
            "{}: {} of {} ({} needed)",
            credential.achievement(),
            credential.score(),
            credential.max(),
            credential.required()
        ),
    );
    if let Some(name) = credential.holder_name() {
        line("Holder", name.to_owned());
    }
    if credential.holder_email().is_some() {
        line(
            "E-mail",
            match email {
                None => "as a hash; --email ADDRESS compares one".into(),
                Some(address) if credential.is_held_by(address) => format!("is {address}"),
                Some(address) => format!("is NOT {address}"),
            },
        );
    } else if let Some(address) = email {
        line(
            "E-mail",
            format!("none in this badge, so {address} can't be compared"),
        );
    }
    line(
        "Passed",
        format!("{} (by the signer's clock)", verified.passed_at),
    );
    line(
        "Issuer",
        format!("{} (what it calls itself)", credential.issuer_name()),
    );
    line("Key", credential.issuer().to_string());
    line(
        "Picture",
        match verified.picture {
            Picture::None => "none in this file".into(),
            Picture::Matches => "shows what the badge says".into(),
            Picture::Unchecked => {
                "not compared (letters beyond the bundled font): go by the lines above".into()
            }
        },
    );
    text
}

fn proven(trust: Trust) -> String {
    let text = match trust {
        Trust::Trusted => "Proven: the key that you trust signed exactly this.",
        Trust::SelfIssued => {
            "Proven: nothing was changed since it was signed with this key. Not proven: whose key it is; anyone can make \
             one. Take it as the learner's own word, unless you know the key: --trust DID."
        }
        Trust::OtherKey => "Nothing was changed since it was signed, but by a key that you did not name.",
    };
    ui::indented(text, 2, 2, ui::width())
}

fn to_json(path: &Path, verdict: &Verdict, email: Option<&str>) -> Value {
    let file = path.display().to_string();
    let verified = match verdict {
        Verdict::False(refusal) => {
            return json!({"file": file, "verdict": "false", "why": refusal.to_string()});
        }
        Verdict::Whole(verified) => verified,
    };
    let credential = &verified.credential;
    json!({
        "file": file,
        "verdict": "valid",
        "trust": match verified.trust {
            Trust::Trusted => "trusted",
            Trust::SelfIssued => "self-issued",
            Trust::OtherKey => "other-key",
        },
        "id": credential.id(),
        "achievement": credential.achievement(),
        "score": credential.score(),
        "max": credential.max(),
        "required": credential.required(),
        "holder": credential.holder_name(),
        "email_matches": email.map(|address| credential.is_held_by(address)),
        "passed_at": verified.passed_at.to_string(),
        "signed_at": verified.signed_at.to_string(),
        "issuer": credential.issuer().as_str(),
        "issuer_name": credential.issuer_name(),
        "container": match verified.container {
            Container::Json => "json",
            Container::Svg => "svg",
            Container::Png => "png",
        },
        "picture": match verified.picture {
            Picture::None => "none",
            Picture::Matches => "matches",
            Picture::Unchecked => "unchecked",
        },
    })
}

/// The JSON files of this home's badges, the newest first.
pub(crate) fn newest_first(home: &Home) -> Vec<PathBuf> {
    let mut files: Vec<(std::time::SystemTime, PathBuf)> = fs::read_dir(home.badges())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let written = fs::metadata(&path).and_then(|about| about.modified());
            (written.unwrap_or(std::time::UNIX_EPOCH), path)
        })
        .collect();
    files.sort_by(|a, b| b.cmp(a));
    files.into_iter().map(|(_, path)| path).collect()
}

/// `badge show`: the badges of this home, or what one file says.
pub(crate) fn show(home: &Home, file: Option<&Path>, as_json: bool) -> Outcome<Exit> {
    if let Some(file) = file {
        return verify(&[file.to_path_buf()], &[], None, as_json);
    }
    let files = newest_first(home);
    if files.is_empty() {
        return Err(Problem::new("there is no badge yet")
            .next("`streamlings quiz`: a pass earns one")
            .exit(Exit::NotYet));
    }
    verify(&files, &[], None, as_json)
}

/// `badge sign`: a whole badge again, under another key.
pub(crate) fn sign(
    home: &Home,
    file: &Path,
    key: &str,
    issuer: &str,
    folder: Option<&Path>,
) -> Outcome<Exit> {
    let key = Keys::of(home).open(key)?;
    let verified = Verifier::at(Timestamp::now())
        .verify(&read(file)?)
        .map_err(|refusal| {
            let exit = if refusal.is_no_badge() {
                Exit::Usage
            } else {
                Exit::NotYet
            };
            Problem::new(format!(
                "this is not signed, because it is no whole badge: {refusal}"
            ))
            .at(file, None)
            .exit(exit)
        })?;
    let credential = verified
        .credential
        .reissue(rand::random(), key.did(), issuer)
        .map_err(|error| {
            Problem::new(error.to_string())
                .next("--issuer takes what you call yourself: at most 80 visible characters")
        })?;
    let signed = award::sign(&key, credential)?;
    let stem = file
        .file_stem()
        .map_or_else(|| "badge".into(), |stem| stem.to_string_lossy().into_owned());
    let folder = folder.map_or_else(
        || file.parent().unwrap_or(Path::new("")).to_path_buf(),
        Path::to_path_buf,
    );
    // write_atomic wants a folder with a name.
    let folder = if folder.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        folder
    };
    let files = award::write(&folder, &format!("{stem}-signed"), &signed)?;
    for path in [&files.json, &files.svg, &files.png] {
        println!("{}", path.display());
    }
    eprintln!("Signed by {}.", key.did());
    eprintln!("You vouch for what it says: that the learner earned it. It checks with");
    eprintln!("  streamlings badge verify FILE --trust {}", key.did());
    Ok(Exit::Done)
}
