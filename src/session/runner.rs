//! Runs one command of the prompt: on a thread of its own, with the session's thread as its terminal.

use std::io::{BufRead, BufReader, Write};
use std::sync::mpsc::channel;

use super::editor::{LineEditor, Typed};
use super::feed::{Event, Feed};
use super::screen::Screen;
use crate::cancel::Cancel;
use crate::kafka::Target;
use crate::tools::background::Background;
use crate::tools::{self, ToolFiles, ToolIo};

/// What a command reads.
pub enum Input {
    /// Lines that are typed.
    Terminal,
    /// A file's bytes.
    Bytes(Vec<u8>),
}

/// Runs a tool of Kafka's; returns its exit code. Ctrl-C ends the tool, never the session.
pub fn run_tool(
    words: &[String],
    input: Input,
    target: &Target,
    files: ToolFiles,
    editor: &mut LineEditor,
    screen: &Screen,
    cancel: &Cancel,
) -> i32 {
    run(editor, screen, cancel, |events| {
        let stdin: Box<dyn BufRead + Send> = match input {
            Input::Terminal => Box::new(BufReader::new(Feed::new(events))),
            Input::Bytes(bytes) => Box::new(std::io::Cursor::new(bytes)),
        };
        let (mut stdout, mut stderr) = (screen.writer(), screen.writer());
        tools::run(
            words,
            &mut ToolIo {
                target,
                files,
                stdin,
                // The editor shows the producer's '>' itself, so that a tick above the line can draw it again.
                stdin_is_terminal: false,
                stdout: &mut stdout,
                stdout_is_terminal: true,
                stderr: &mut stderr,
                cancel: cancel.clone(),
                hints: true,
            },
        )
    })
}

/// Gives the screen to a tool in the background until it ends. Lines that are typed are its input, where it reads
/// any; Ctrl-C ends it in order.
pub fn run_attached(
    id: usize,
    background: &Background,
    editor: &mut LineEditor,
    screen: &Screen,
    cancel: &Cancel,
) {
    run(editor, screen, cancel, |events| {
        background.attach(id, true);
        let mut lines = BufReader::new(Feed::new(events));
        let mut line = String::new();
        while background.takes_input(id) && !cancel.is_cancelled() {
            line.clear();
            match lines.read_line(&mut line) {
                Ok(count) if count > 0 && background.write(id, &line) => {}
                _ => background.close_input(id),
            }
        }
        // Only its end ends the wait, or Ctrl-C, after which it is stopped.
        if matches!(background.wait(id, None, None, cancel), Ok(false)) {
            drop(background.stop(id));
        }
    });
}

/// Runs `work` with the writers of the screen; for commands that read nothing.
pub fn run_quietly<T: Send>(
    editor: &mut LineEditor,
    screen: &Screen,
    cancel: &Cancel,
    work: impl FnOnce(&mut (dyn Write + Send)) -> T + Send,
) -> T {
    run(editor, screen, cancel, |_| work(&mut screen.writer()))
}

fn run<T: Send>(
    editor: &mut LineEditor,
    screen: &Screen,
    cancel: &Cancel,
    work: impl FnOnce(std::sync::mpsc::Sender<Event<T>>) -> T + Send,
) -> T {
    cancel.clear();
    screen.while_running(|| run_beside(editor, screen, cancel, work))
}

fn run_beside<T: Send>(
    editor: &mut LineEditor,
    screen: &Screen,
    cancel: &Cancel,
    work: impl FnOnce(std::sync::mpsc::Sender<Event<T>>) -> T + Send,
) -> T {
    let (events, heard) = channel::<Event<T>>();
    let ended = std::thread::scope(|scope| {
        let worker = events.clone();
        scope.spawn(move || {
            let result = work(worker.clone());
            drop(worker.send(Event::Ended(result)));
        });
        drop(events);
        let mut result = None;
        for event in heard {
            match event {
                Event::Ended(value) => result = Some(value),
                Event::WantsLine(answer) => {
                    let line = match screen.while_editing(|| editor.input(">")) {
                        Typed::Line(line) => Some(line),
                        Typed::Interrupt => {
                            cancel.cancel();
                            None
                        }
                        Typed::End => None,
                    };
                    // The command may have ended meanwhile.
                    drop(answer.send(line));
                }
            }
        }
        result
    });
    cancel.clear();
    // The worker sends its result last; only its panic, which the scope passes on, can lose it.
    ended.unwrap_or_else(|| unreachable!("a command ends with a result"))
}
