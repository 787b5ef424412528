//! What every screen shares: width, colour, Markdown, untrusted text.

mod confirm;
pub mod markdown;

pub use confirm::confirm;

use std::borrow::Cow;
use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::problem::{Exit, Problem};

/// Columns for text: the terminal's, 80 where there is none, never more than a page is wide.
pub fn width() -> usize {
    const PAGE: usize = 100;
    const NARROWEST: usize = 40;
    let columns = console::Term::stdout()
        .size_checked()
        .map_or(80, |(_, columns)| usize::from(columns));
    columns.clamp(NARROWEST, PAGE)
}

/// Prints a result on stdout. A reader that has gone (`… | head`) has what it wanted: the process ends with success.
pub fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) else {
        return;
    };
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    eprint!(
        "{}",
        Problem::new(format!("the output can't be written: {error}")).render()
    );
    std::process::exit(i32::from(Exit::Usage as u8));
}

/// Prints a result as JSON that people can read too.
pub fn print_json(value: &serde_json::Value) {
    print(&format!("{value:#}\n"));
}

/// `left` and `right` at the two ends of a line; a line too short for both shortens `left`.
pub fn sides(left: &str, right: &str, width: usize) -> String {
    let room = width.saturating_sub(right.width() + 2);
    let left = console::truncate_str(left, room, "…");
    let gap = width.saturating_sub(console::measure_text_width(&left) + right.width());
    format!("{left}{}{right}", " ".repeat(gap)).trim_end().to_string()
}

/// `text` in lines of at most `width` columns, the first one indented by `first`, the others by `rest`; each ends with
/// a new line. Line breaks of the text stay.
pub fn indented(text: &str, first: usize, rest: usize, width: usize) -> String {
    let (first, rest) = (" ".repeat(first), " ".repeat(rest));
    let options = wrap_options(width)
        .initial_indent(&first)
        .subsequent_indent(&rest);
    let mut wrapped = textwrap::fill(text.trim_end(), options);
    wrapped.push('\n');
    wrapped
}

/// Commands, names and addresses are never cut: what is copied from the screen must work.
fn wrap_options<'a>(width: usize) -> textwrap::Options<'a> {
    textwrap::Options::new(width)
        .break_words(false)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit)
}

/// Makes terminal control characters visible, so that text from a course file, a record or a peer can't move the
/// cursor, change colours or write to the clipboard. New lines and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| c == '\n' || c == '\t' || !(c.is_control() || is_invisible_format(c));
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if harmless(c) {
            shown.push(c);
        } else if (c as u32) < 0x20 {
            shown.push('^');
            shown.push(char::from(b'@' + c as u8));
        } else {
            shown.push_str(&format!("\\u{{{:x}}}", c as u32));
        }
    }
    Cow::Owned(shown)
}

/// Bidirectional overrides and isolates reorder what a reader sees.
fn is_invisible_format(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::{indented, sides, visible};

    #[test]
    fn ends_of_a_line_keep_their_room() {
        assert_eq!(sides("1.1 A topic", "15 min", 20), "1.1 A topic   15 min");
        assert_eq!(
            sides("1.1 A very long title", "15 min", 20),
            "1.1 A very …  15 min"
        );
    }

    #[test]
    fn long_text_hangs_below_its_mark_and_commands_stay_whole() {
        assert_eq!(
            indented("[ ] one two three", 2, 6, 12),
            "  [ ] one\n      two\n      three\n"
        );
        assert_eq!(
            indented("kafka-console-producer", 0, 0, 10),
            "kafka-console-producer\n"
        );
    }

    #[test]
    fn control_characters_are_shown_and_never_sent() {
        assert_eq!(visible("plain\n\ttext"), "plain\n\ttext");
        assert_eq!(visible("\u{1b}[2Jgone"), "^[[2Jgone");
        assert_eq!(visible("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(visible("a\u{202e}b"), "a\\u{202e}b");
    }
}
