//! Markdown on a terminal: wrapped, styled where the terminal has styles, readable where it has none.

use comfy_table::{ContentArrangement, Table, presets};
use console::Style;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::{visible, wrap_options};

/// Renders `text` for `width` columns. Every line ends with a new line; blocks are parted by an empty one.
///
/// Emphasis is bold or italic; code is coloured and keeps its backticks, so that nothing is told by colour alone. HTML is shown as text; control characters are made visible.
pub fn render(text: &str, width: usize) -> String {
    let text = visible(text);
    let mut renderer = Renderer::new(width);
    for event in Parser::new_ext(&text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        renderer.event(event);
    }
    renderer.out
}

struct Renderer {
    width: usize,
    out: String,
    /// The paragraph, item or cell that is being collected.
    inline: String,
    /// The styles of nested emphasis.
    bold: usize,
    italic: usize,
    lists: Vec<List>,
    quotes: usize,
    /// The mark of a list item whose first line is still to come.
    mark: Option<String>,
    code: Option<String>,
    /// The code block holds commands, which go on after a backslash.
    commands: bool,
    table: Option<TableRows>,
    link: Option<(String, usize)>,
}

struct List {
    next: Option<u64>,
}

#[derive(Default)]
struct TableRows {
    rows: Vec<Vec<String>>,
}

impl Renderer {
    fn new(width: usize) -> Self {
        Self {
            width,
            out: String::new(),
            inline: String::new(),
            bold: 0,
            italic: 0,
            lists: Vec::new(),
            quotes: 0,
            mark: None,
            code: None,
            commands: false,
            table: None,
            link: None,
        }
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.styled(&text),
            },
            Event::Code(code) => self.inline_code(&code),
            Event::SoftBreak => self.inline.push(' '),
            Event::HardBreak => self.inline.push('\n'),
            Event::Html(html) | Event::InlineHtml(html) => self.styled(&html),
            Event::Rule => {
                self.gap();
                self.out.push_str(&"-".repeat(self.width.min(40)));
                self.out.push('\n');
            }
            Event::FootnoteReference(_)
            | Event::TaskListMarker(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Strong => self.bold += 1,
            Tag::Heading { .. } => {
                self.gap();
                self.bold += 1;
            }
            Tag::Emphasis => self.italic += 1,
            Tag::CodeBlock(kind) => {
                self.flush();
                self.gap();
                self.commands =
                    matches!(&kind, CodeBlockKind::Fenced(language) if language.starts_with("console"));
                self.code = Some(String::new());
            }
            Tag::List(first) => {
                self.flush();
                if self.lists.is_empty() {
                    self.gap();
                }
                self.lists.push(List { next: first });
            }
            Tag::Item => {
                let mark = match self.lists.last_mut().and_then(|list| list.next.as_mut()) {
                    Some(number) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    None => "- ".to_string(),
                };
                self.mark = Some(mark);
            }
            Tag::Paragraph if self.mark.is_none() => self.gap(),
            Tag::BlockQuote(_) => {
                self.gap();
                self.quotes += 1;
            }
            Tag::Table(_) => {
                self.gap();
                self.table = Some(TableRows::default());
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.rows.push(Vec::new());
                }
            }
            Tag::Link { dest_url, .. } => self.link = Some((dest_url.to_string(), self.inline.len())),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Strong => self.bold -= 1,
            TagEnd::Emphasis => self.italic -= 1,
            TagEnd::Heading(_) => {
                self.bold -= 1;
                self.flush();
            }
            TagEnd::Paragraph => self.flush(),
            TagEnd::Item => {
                self.flush();
                self.mark = None;
            }
            TagEnd::List(_) => {
                self.lists.pop();
            }
            TagEnd::BlockQuote(_) => self.quotes -= 1,
            TagEnd::CodeBlock => self.code_block(),
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.inline);
                if let Some(row) = self.table.as_mut().and_then(|table| table.rows.last_mut()) {
                    row.push(cell);
                }
            }
            TagEnd::Table => self.table(),
            TagEnd::Link => {
                if let Some((address, start)) = self.link.take()
                    && !self.inline[start..].contains(&address)
                {
                    self.inline.push_str(&format!(" ({address})"));
                }
            }
            _ => {}
        }
    }

    fn styled(&mut self, text: &str) {
        if self.table.is_some() {
            // A cell's width is measured with its styles.
            self.inline.push_str(text);
            return;
        }
        let mut style = Style::new();
        if self.bold > 0 {
            style = style.bold();
        }
        if self.italic > 0 {
            style = style.italic();
        }
        self.inline.push_str(&style.apply_to(text).to_string());
    }

    fn inline_code(&mut self, code: &str) {
        let code = format!("`{code}`");
        if self.table.is_some() {
            self.inline.push_str(&code);
        } else {
            self.inline
                .push_str(&Style::new().cyan().apply_to(code).to_string());
        }
    }

    /// An empty line before a block, but not at the top.
    fn gap(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn indent(&self) -> usize {
        2 * self.lists.len()
    }

    /// Ends the paragraph or item that is being collected.
    fn flush(&mut self) {
        let text = std::mem::take(&mut self.inline);
        if text.trim().is_empty() {
            return;
        }
        let quote = "> ".repeat(self.quotes);
        let outer = self.indent().saturating_sub(2);
        let (first, rest) = if self.lists.is_empty() {
            (quote.clone(), quote)
        } else {
            let mark = self.mark.take().unwrap_or_default();
            let hang = if mark.is_empty() { 2 } else { mark.len() };
            (
                format!("{quote}{}{mark}", " ".repeat(outer)),
                format!("{quote}{}", " ".repeat(outer + hang)),
            )
        };
        let options = wrap_options(self.width)
            .initial_indent(&first)
            .subsequent_indent(&rest);
        self.out.push_str(&textwrap::fill(&text, options));
        self.out.push('\n');
    }

    fn code_block(&mut self) {
        let Some(code) = self.code.take() else { return };
        let indent = " ".repeat(self.indent() + 4);
        for line in code.lines() {
            if self.commands && indent.len() + line.chars().count() > self.width {
                self.long_command(line, &indent);
                continue;
            }
            self.out.push_str(format!("{indent}{line}").trim_end());
            self.out.push('\n');
        }
    }

    /// A command too long for the width, as a shell and the lab's prompt take it: each line but the last ends with a
    /// backslash.
    fn long_command(&mut self, line: &str, indent: &str) {
        let hang = format!("{indent}  ");
        let options = wrap_options(self.width.saturating_sub(2))
            .initial_indent(indent)
            .subsequent_indent(&hang);
        self.out.push_str(&textwrap::wrap(line, options).join(" \\\n"));
        self.out.push('\n');
    }

    fn table(&mut self) {
        let Some(rows) = self.table.take() else { return };
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(self.width).unwrap_or(80));
        let mut rows = rows.rows.into_iter();
        if let Some(head) = rows.next() {
            table.set_header(head);
        }
        for row in rows {
            table.add_row(row);
        }
        for line in table.lines() {
            self.out.push_str(line.trim_end());
            self.out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::render;

    fn plain(text: &str, width: usize) -> String {
        console::set_colors_enabled(false);
        render(text, width)
    }

    #[test]
    fn paragraphs_wrap_and_code_stays_whole() {
        let text = "Topics are *made* with `kafka-topics --create`, and **never**\nby hand.\n\n    kafka-topics --list\n";
        assert_eq!(
            plain(text, 30),
            "Topics are made with\n`kafka-topics --create`, and\nnever by hand.\n\n    kafka-topics --list\n"
        );
    }

    #[test]
    fn a_long_command_can_be_copied_whole() {
        let text = "```console\nkafka-topics --create --topic rides --partitions 3\n```\n";
        assert_eq!(
            plain(text, 40),
            "    kafka-topics --create --topic \\\n      rides --partitions 3\n"
        );
    }

    #[test]
    fn lists_hang_and_nest() {
        let text =
            "Do:\n\n1. create the topic and look\n2. produce\n   - with a key\n   - without\n\nThen go on.";
        assert_eq!(
            plain(text, 20),
            "Do:\n\n1. create the topic\n   and look\n2. produce\n  - with a key\n  - without\n\nThen go on.\n"
        );
    }

    #[test]
    fn quotes_links_and_tables() {
        assert_eq!(plain("> said\n", 40), "> said\n");
        assert_eq!(
            plain("[KIP-98](https://x.org/kip)", 60),
            "KIP-98 (https://x.org/kip)\n"
        );
        let table = plain("| a | b |\n|---|---|\n| 1 | two |\n", 40);
        assert_eq!(table, " a  b\n 1  two\n");
    }

    #[test]
    fn html_and_control_characters_are_text() {
        assert_eq!(plain("a <b>x</b> \u{1b}[2J", 40), "a <b>x</b> ^[[2J\n");
    }
}
