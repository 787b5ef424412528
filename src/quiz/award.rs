//! The badge that follows a pass.

use std::path::{Path, PathBuf};

use rand::RngExt;
use rand::distr::Alphanumeric;
use streamlings_badge::{
    Achievement, Award, AwardError, Email, Holder, Key, SignedCredential, bake_png, bake_svg,
};

use crate::home::{Home, Readers, write_atomic};
use crate::problem::{Exit, Outcome, Problem};
use crate::quiz::attempt::{Attempt, now};
use crate::quiz::bank::Bank;
use crate::quiz::keys::Keys;

/// What a badge that is signed on the learner's machine says about its issuer.
const SELF_ISSUER: &str = "the learner's own machine (self-issued)";

/// A badge's three files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The credential.
    pub json: PathBuf,
    /// The picture with the credential inside, sharp at any size.
    pub svg: PathBuf,
    /// The same, where only pixels are taken.
    pub png: PathBuf,
}

/// Signs the badge of a passed attempt with this home's own key, and writes it. Refused without a pass.
pub fn issue(home: &Home, bank: &Bank, attempt: &Attempt) -> Outcome<Files> {
    let result = attempt
        .result
        .as_ref()
        .filter(|result| result.passed && result.score >= result.pass);
    let Some(result) = result else {
        return Err(Problem::new("there is no passed quiz to make a badge of")
            .next("`streamlings quiz` takes it")
            .exit(Exit::NotYet));
    };
    let key = Keys::of(home).own()?;
    let award = Award {
        id: rand::random(),
        achievement: Achievement {
            seed: attempt.course.clone(),
            name: attempt.title.clone(),
            description: description(bank),
            criteria: format!(
                "Answered {} of {} questions right or more. The questions are drawn from a bank; the quiz is not supervised.",
                result.pass, result.max
            ),
            max: result.max,
            required: result.pass,
        },
        holder: holder(attempt),
        score: result.score,
        passed_at: result.completed_at,
        issuer_name: SELF_ISSUER.into(),
    };
    let credential = award.credential(key.did()).map_err(not_awarded)?;
    let signed = sign(&key, credential)?;
    let date = result.completed_at.strftime("%Y-%m-%d").to_string();
    write(&home.badges(), &format!("{}-{date}", attempt.course), &signed)
}

/// Signs a credential now.
pub(crate) fn sign(key: &Key, credential: streamlings_badge::Credential) -> Outcome<SignedCredential> {
    key.sign(credential, now())
        .map_err(|error| Problem::new(format!("the badge can't be signed: {error}")))
}

/// Writes the three files beside each other; files that are there already are never replaced.
pub(crate) fn write(folder: &Path, stem: &str, signed: &SignedCredential) -> Outcome<Files> {
    let undrawn = |error: streamlings_badge::DrawError| Problem::new(error.to_string());
    let (svg, png) = (
        bake_svg(signed).map_err(undrawn)?,
        bake_png(signed).map_err(undrawn)?,
    );
    let files = (1_u32..10_000)
        .map(|number| {
            if number == 1 {
                stem.to_owned()
            } else {
                format!("{stem}-{number}")
            }
        })
        .map(|stem| {
            let file = |extension: &str| folder.join(format!("{stem}.{extension}"));
            Files {
                json: file("json"),
                svg: file("svg"),
                png: file("png"),
            }
        })
        .find(|files| {
            ![&files.json, &files.svg, &files.png]
                .into_iter()
                .any(|path| path.exists())
        })
        .ok_or_else(|| Problem::new("there is no free name for the badge's files"))?;
    let write = |path: &Path, content: &[u8]| {
        write_atomic(path, content, Readers::Anyone).map_err(|error| {
            Problem::new(format!("the badge can't be written: {error}"))
                .at(path, None)
                .next("make room, then `streamlings badge issue` makes it from your result")
        })
    };
    write(&files.svg, svg.as_bytes())?;
    write(&files.png, &png)?;
    write(&files.json, signed.to_json().as_bytes())?;
    Ok(files)
}

/// What went wrong with a name or an address, before anything is signed.
pub fn check_holder(name: Option<&str>, email: Option<&str>) -> Outcome<()> {
    let trial = Award {
        id: [0; 16],
        achievement: Achievement {
            seed: "trial".into(),
            name: "trial".into(),
            description: "trial".into(),
            criteria: "trial".into(),
            max: 1,
            required: 1,
        },
        holder: Holder {
            name: name.map(str::to_owned),
            email: email.map(|address| Email {
                address: address.to_owned(),
                salt: "trial".into(),
            }),
        },
        score: 1,
        passed_at: now(),
        issuer_name: "trial".into(),
    };
    trial
        .credential(Key::from_secret([1; 32]).did())
        .map(drop)
        .map_err(not_awarded)
}

fn not_awarded(error: AwardError) -> Problem {
    let next = match &error {
        AwardError::NoHolder => "give --name NAME, --email ADDRESS or both",
        AwardError::Email => "for instance --email ada@example.org",
        AwardError::Text { .. } => "letters, digits and punctuation, at most 80 of them",
        AwardError::Score { .. } => "`streamlings quiz` takes the quiz again",
    };
    Problem::new(error.to_string()).next(next)
}

fn holder(attempt: &Attempt) -> Holder {
    let salt = || {
        rand::rng()
            .sample_iter(Alphanumeric)
            .take(22)
            .map(char::from)
            .collect()
    };
    Holder {
        name: attempt.name.clone(),
        email: attempt.email.as_ref().map(|address| Email {
            address: address.clone(),
            salt: salt(),
        }),
    }
}

fn description(bank: &Bank) -> String {
    let parts: Vec<&str> = bank.domains.iter().map(|domain| domain.title.as_str()).collect();
    let text = format!("A hands-on course and a quiz on: {}.", parts.join("; "));
    text.chars().take(1_000).collect()
}
