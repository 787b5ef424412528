//! Which questions, and in which order their choices: a function of the seed.
//!
//! A question is drawn by the hash of seed and id, not by a random generator: the same seed gives the same test on
//! every machine and version, and a question that is added to one place changes no other place.

use sha2::{Digest, Sha256};

use crate::problem::{Outcome, Problem};
use crate::quiz::bank::{Bank, Body, Question};

/// One test.
#[derive(Debug, Clone)]
pub struct Drawn<'a> {
    /// What it was drawn by.
    pub seed: u64,
    /// The questions, in the order of the blueprint.
    pub questions: Vec<DrawnQuestion<'a>>,
}

/// A question as it is shown.
#[derive(Debug, Clone)]
pub struct DrawnQuestion<'a> {
    /// The title of its domain.
    pub domain: &'a str,
    /// The question.
    pub question: &'a Question,
    /// What is shown at each position: an index into the question's choices or items. Empty for a number.
    pub shown: Vec<usize>,
}

/// Draws one question for each place.
pub fn draw(bank: &Bank, seed: u64) -> Outcome<Drawn<'_>> {
    let mut questions = Vec::new();
    for domain in &bank.domains {
        for place in 1..=domain.places {
            let candidates = domain.questions.iter().filter(|question| question.place == place);
            let question = candidates
                .min_by_key(|question| rank(seed, &question.id, "draw"))
                .ok_or_else(|| {
                    Problem::new(format!(
                        "place {place} of the domain '{}' has no question",
                        domain.id
                    ))
                    .at(domain.place.file.clone(), domain.place.line)
                    .next("write one: `streamlings author check` lists all that are missing")
                })?;
            questions.push(DrawnQuestion {
                domain: &domain.title,
                question,
                shown: shuffled(seed, question),
            });
        }
    }
    Ok(Drawn { seed, questions })
}

/// The questions that an attempt began with, shown as its seed shows them; none when one of them is gone.
pub fn again<'a>(bank: &'a Bank, seed: u64, ids: &[String]) -> Option<Drawn<'a>> {
    let questions = ids.iter().map(|id| {
        let (domain, question) = bank.question(id)?;
        Some(DrawnQuestion {
            domain: &domain.title,
            question,
            shown: shuffled(seed, question),
        })
    });
    Some(Drawn {
        seed,
        questions: questions.collect::<Option<_>>()?,
    })
}

/// A seed whose test shares as few questions as can be with `last`, the ids of the last one: the best of some.
pub fn fresh_seed(bank: &Bank, last: &[String]) -> Outcome<u64> {
    const TRIES: usize = 24;
    let mut best: Option<(usize, u64)> = None;
    for _ in 0..TRIES {
        // Short enough to be typed after --seed.
        let seed = u64::from(rand::random::<u32>());
        let drawn = draw(bank, seed)?;
        let seen = drawn
            .questions
            .iter()
            .filter(|drawn| last.contains(&drawn.question.id))
            .count();
        if best.is_none_or(|(least, _)| seen < least) {
            best = Some((seen, seed));
        }
        if seen == 0 {
            break;
        }
    }
    Ok(best.map_or(0, |(_, seed)| seed))
}

fn shuffled(seed: u64, question: &Question) -> Vec<usize> {
    let parts = match &question.body {
        Body::Choices { choices, .. } => choices.len(),
        Body::Order(items) => items.len(),
        Body::Number(_) => 0,
    };
    let mut shown: Vec<usize> = (0..parts).collect();
    let mut tries = 0;
    loop {
        shown.sort_by_key(|part| rank(seed, &question.id, &format!("part {part} {tries}")));
        tries += 1;
        // Items that happen to lie in the right order would be answered by doing nothing.
        if !matches!(question.body, Body::Order(_)) || !shown.is_sorted() {
            return shown;
        }
    }
}

fn rank(seed: u64, id: &str, what: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update(id);
    hash.update([0]);
    hash.update(what);
    hash.finalize().into()
}
