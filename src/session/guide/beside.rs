//! What runs beside the prompt: tools in the background, and transactional producers that are held open.

use std::time::Duration;

use crate::course::WorkFolder;
use crate::problem::{Outcome, Problem};
use crate::session::runner;
use crate::session::words::Word;
use crate::tools::ToolFiles;
use crate::tools::background::{self, Start};
use crate::{lab, ui};

use super::{At, Guide};

/// How long the tools may take to leave their groups when the prompt is left.
const FAREWELL: Duration = Duration::from_secs(6);

impl Guide {
    /// Where the files are that a tool's flags name: in the exercise's folder.
    pub(super) fn tool_files(&self) -> ToolFiles {
        match &self.at {
            At::Step(watched) => ToolFiles::of(WorkFolder::of(&self.home, &watched.exercise).path()),
            At::Map => ToolFiles::default(),
        }
    }

    fn start_beside(
        &mut self,
        words: &[String],
        input: Option<Vec<u8>>,
        line: &str,
        attached: bool,
    ) -> Outcome<usize> {
        let files = self.tool_files();
        self.background.start(Start {
            words,
            text: line.trim_end_matches(['&', ' ']),
            input,
            target: self.lab.target(),
            files: &files,
            hints: true,
            attached,
        })
    }

    /// `COMMAND &`
    pub(super) fn beside(&mut self, words: &[String], input: Option<&str>, line: &str) -> Outcome<()> {
        let input = input.map(|name| self.read_input(name)).transpose()?;
        let waits_for_lines = input.is_none() && crate::tools::reads_input(&words[0]);
        let id = self.start_beside(words, input, line, false)?;
        if waits_for_lines {
            self.screen.say(&format!(
                "[{id}] waits for lines: `fg {id}` types some, Ctrl-D ends its input\n"
            ));
        }
        self.boxes_after();
        Ok(())
    }

    /// A tool that may end as `kill -9` ends one, in the foreground.
    pub(super) fn own_process(&mut self, words: &[String], line: &str) -> Outcome<()> {
        let id = self.start_beside(words, None, line, true)?;
        self.give_screen(id);
        Ok(())
    }

    fn give_screen(&mut self, id: usize) {
        let (background, screen, cancel) = (&self.background, &self.screen, &self.cancel);
        let editor = &mut self.editor;
        self.watcher
            .while_busy(|| runner::run_attached(id, background, editor, screen, cancel));
        self.boxes_after();
    }

    /// `jobs`
    pub(super) fn jobs_beside(&self) {
        let jobs = self.background.list();
        if jobs.is_empty() {
            self.paragraph(
                "Nothing was started in the background: COMMAND & does that. Streaming jobs: `job list`.",
            );
        }
        for job in jobs {
            let state = job
                .ending
                .map_or_else(|| "running".to_string(), |ending| ending.to_string());
            let lines = if job.said == 1 { "line" } else { "lines" };
            let text = format!("{} {state}, {} {lines}: {}", job.tag, job.said, job.text);
            self.screen
                .say(&ui::indented(&ui::visible(&text), 0, 4, ui::width()));
        }
    }

    /// `stop N`, `kill N`, `logs N`, `fg N`
    pub(super) fn about_one(&mut self, word: Word, words: &[String]) -> Outcome<()> {
        let id = self.background.find(words.get(1).map(String::as_str))?;
        match word {
            Word::Stop => self.background.stop(id)?,
            Word::Kill => self.background.kill(id)?,
            Word::Foreground => {
                if let Some(ending) = self.background.ending(id) {
                    return Err(Problem::new(format!("[{id}] has ended: {ending}"))
                        .next(format!("`logs {id}` shows what it has said")));
                }
                self.give_screen(id);
                return Ok(());
            }
            _ => {
                let mut text = self.background.logs(id)?.join("\n");
                text.push('\n');
                self.screen.say(&text);
                return Ok(());
            }
        }
        self.boxes_after();
        Ok(())
    }

    /// `wait 2s`, `wait N`, `wait N LINES`
    pub(super) fn wait(&mut self, words: &[String]) -> Outcome<()> {
        let wait = background::Wait::of(&words[1..], &self.background)?;
        let (background, screen, cancel) = (&self.background, &self.screen, &self.cancel);
        let editor = &mut self.editor;
        self.watcher.while_busy(|| {
            runner::run_quietly(editor, screen, cancel, |_| wait.run(background, None, cancel))
        })?;
        self.boxes_after();
        Ok(())
    }

    /// `txn …`
    pub(super) fn txn(&mut self, words: &[String]) -> Outcome<()> {
        let (target, screen, cancel) = (self.lab.target(), &self.screen, &self.cancel);
        let (desk, editor) = (&mut self.txn, &mut self.editor);
        self.watcher
            .while_busy(|| runner::run_quietly(editor, screen, cancel, |out| desk.run(words, target, out)))?;
        self.boxes_after();
        Ok(())
    }

    /// `broker …`, `clock …`, `fault …`
    pub(super) fn hands(&mut self, words: &[String]) -> Outcome<()> {
        let (lab, screen, cancel) = (&self.lab, &self.screen, &self.cancel);
        let editor = &mut self.editor;
        self.watcher.while_busy(|| {
            runner::run_quietly(editor, screen, cancel, |out| {
                lab::hands::run_line(words, lab, out)
            })
        })?;
        self.boxes_after();
        Ok(())
    }

    /// Ends all that runs beside the prompt, and says so.
    pub(super) fn stop_all_beside(&mut self) {
        let tags = self.background.running_tags();
        if !tags.is_empty() {
            self.paragraph(&format!(
                "Stopping what runs in the background: {}",
                tags.join(", ")
            ));
            self.background.stop_all(FAREWELL);
        }
        for name in self.txn.end_all() {
            self.screen
                .say(&format!("The open transaction of producer {name} is aborted.\n"));
        }
    }
}
