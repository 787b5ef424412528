//! One terminal, several writers: the prompt that is being typed, a command's output, and the boxes that get ticked
//! while the learner looks away. Nothing that one of them says breaks a line of another.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Prints above the line that is being edited.
pub trait Above: Send {
    /// Prints `text`, which ends with a new line, and draws the edited line again below it.
    fn print(&mut self, text: &str) -> io::Result<()>;
}

/// The terminal that the session's threads share. Clones are the same screen.
#[derive(Clone)]
pub struct Screen(Arc<Mutex<State>>);

struct State {
    above: Option<Box<dyn Above>>,
    editing: bool,
    running: bool,
    /// What a command has written of a line that it hasn't ended.
    open_line: bool,
    out: Box<dyn Write + Send>,
}

impl Screen {
    /// A screen that writes to `out`, and through `above` while a line is being edited.
    pub fn new(out: Box<dyn Write + Send>, above: Option<Box<dyn Above>>) -> Self {
        Self(Arc::new(Mutex::new(State {
            above,
            editing: false,
            running: false,
            open_line: false,
            out,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A writer that panicked leaves at worst half a line.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something of the lab's own: whole lines, at the start of a line. `text` must end with a new line.
    pub fn say(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut state = self.state();
        let state = &mut *state;
        if let (true, Some(above)) = (state.editing, state.above.as_mut()) {
            // A terminal that has gone ends the session at the next read, not here.
            drop(above.print(text));
            return;
        }
        let start = if state.open_line { "\n" } else { "" };
        state.open_line = false;
        drop(write!(state.out, "{start}{text}").and_then(|()| state.out.flush()));
    }

    /// Runs a command that writes here.
    pub fn while_running<T>(&self, work: impl FnOnce() -> T) -> T {
        self.state().running = true;
        let result = work();
        self.state().running = false;
        result
    }

    /// The terminal has shown `^C`: what comes next begins on a line of its own.
    pub fn interrupted(&self) {
        let mut state = self.state();
        if state.running && !state.editing {
            state.open_line = false;
            drop(writeln!(state.out).and_then(|()| state.out.flush()));
        }
    }

    /// Runs `edit` (a line editor that owns the terminal), during which [`say`](Self::say) prints above its line.
    pub fn while_editing<T>(&self, edit: impl FnOnce() -> T) -> T {
        {
            let mut state = self.state();
            if state.open_line {
                state.open_line = false;
                drop(writeln!(state.out));
            }
            state.editing = true;
        }
        let result = edit();
        self.state().editing = false;
        result
    }

    /// A command's output.
    pub fn writer(&self) -> CommandOutput {
        CommandOutput(self.clone())
    }

    fn write_raw(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let state = &mut *state;
        if let (true, Some(above)) = (state.editing, state.above.as_mut()) {
            return above.print(&String::from_utf8_lossy(bytes));
        }
        if let Some(last) = bytes.last() {
            state.open_line = *last != b'\n';
        }
        state.out.write_all(bytes)
    }
}

/// What a command writes, in whole lines where it can.
pub struct CommandOutput(Screen);

impl Write for CommandOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_raw(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.state().out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Above for Paper {
        fn print(&mut self, text: &str) -> io::Result<()> {
            write!(self, "^{text}")
        }
    }

    #[test]
    fn a_tick_starts_on_a_line_of_its_own() {
        let paper = Paper::default();
        let screen = Screen::new(Box::new(paper.clone()), Some(Box::new(paper.clone())));
        write!(screen.writer(), "half a li").unwrap();
        screen.say("  [x] done\n");
        writeln!(screen.writer(), "whole").unwrap();
        screen.say("  [x] again\n");
        assert_eq!(paper.text(), "half a li\n  [x] done\nwhole\n  [x] again\n");
    }

    #[test]
    fn after_an_interrupt_a_running_command_goes_on_below() {
        let paper = Paper::default();
        let screen = Screen::new(Box::new(paper.clone()), None);
        screen.interrupted();
        screen.while_running(|| {
            screen.interrupted();
            screen.say("Processed\n");
        });
        assert_eq!(paper.text(), "\nProcessed\n");
    }

    #[test]
    fn while_a_line_is_edited_everything_goes_above_it() {
        let paper = Paper::default();
        let screen = Screen::new(Box::new(paper.clone()), Some(Box::new(paper.clone())));
        screen.while_editing(|| {
            screen.say("tick\n");
            screen.writer().write_all(b"late output\n").unwrap();
        });
        screen.say("after\n");
        assert_eq!(paper.text(), "^tick\n^late output\nafter\n");
    }
}
