//! A question that is answered with yes or no.

use console::Term;
use dialoguer::Input;

/// Asks until the answer is `y`, `yes`, `n`, `no`, or Enter alone for `default`. A whole line is read and nothing but
/// these is taken: after "maybe" nothing is deleted, and no letter of an answer reaches the prompt that follows.
///
/// # Errors
/// Ctrl-C, or a terminal that was closed.
pub fn confirm(term: &Term, question: &str, default: bool) -> dialoguer::Result<bool> {
    let choice = if default { "[Y/n]" } else { "[y/N]" };
    let answer = Input::<String>::new()
        .with_prompt(format!("{question} {choice}"))
        .allow_empty(true)
        .validate_with(|text: &String| meaning(text, default).map(drop).ok_or("y or n"))
        .interact_text_on(term);
    if answer.is_err() {
        // A prompt that was left hides the cursor; on a closed terminal there is none to show.
        drop(term.show_cursor());
    }
    Ok(meaning(&answer?, default).unwrap_or(false))
}

fn meaning(text: &str, default: bool) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "" => Some(default),
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::meaning;

    #[test]
    fn only_yes_is_yes() {
        for yes in ["y", "Y", " yes ", "YES"] {
            assert_eq!(meaning(yes, false), Some(true), "{yes}");
        }
        for no in ["n", "no", "No"] {
            assert_eq!(meaning(no, true), Some(false), "{no}");
        }
        for neither in ["maybe", "not yet", "yno", "1"] {
            assert_eq!(meaning(neither, true), None, "{neither}");
        }
        assert_eq!((meaning("", true), meaning("", false)), (Some(true), Some(false)));
    }
}
