//! A command's stdin at the prompt: it asks, the terminal's owner edits a line and hands it over.
//!
//! The line editor lives on the session's thread; a command runs on another. So a console producer has a real
//! editor, boxes can be ticked above its line, and Ctrl-C never leaves a thread behind that eats the next line.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, channel};

/// What a running command tells the terminal's owner.
#[derive(Debug)]
pub enum Event<T> {
    /// It wants a line; `None` ends its input.
    WantsLine(Sender<Option<String>>),
    /// It has ended.
    Ended(T),
}

/// The command's end: asks for a line whenever it has read the one before.
#[derive(Debug)]
pub struct Feed<T> {
    events: Sender<Event<T>>,
    line: Vec<u8>,
    read: usize,
    ended: bool,
}

impl<T> Feed<T> {
    /// A feed that asks through `events`.
    pub fn new(events: Sender<Event<T>>) -> Self {
        Self {
            events,
            line: Vec::new(),
            read: 0,
            ended: false,
        }
    }

    fn next_line(&mut self) {
        let (answer, answered): (_, Receiver<Option<String>>) = channel();
        let line = if self.events.send(Event::WantsLine(answer)).is_ok() {
            answered.recv().ok().flatten()
        } else {
            None
        };
        self.read = 0;
        self.ended = line.is_none();
        self.line = line.map(|line| line + "\n").unwrap_or_default().into_bytes();
    }
}

impl<T> Read for Feed<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.read == self.line.len() && !self.ended {
            self.next_line();
        }
        let count = (self.line.len() - self.read).min(into.len());
        into[..count].copy_from_slice(&self.line[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufRead;

    #[test]
    fn lines_arrive_one_by_one_and_the_end_stays_the_end() {
        let (sender, events) = channel::<Event<()>>();
        let reader = std::thread::spawn(move || {
            let mut lines = Vec::new();
            let mut input = io::BufReader::new(Feed::new(sender));
            loop {
                let mut line = String::new();
                if input.read_line(&mut line).unwrap() == 0 {
                    assert_eq!(input.read_line(&mut line).unwrap(), 0);
                    return lines;
                }
                lines.push(line);
            }
        });
        let mut typed = vec![Some("one".to_string()), Some(String::new()), None].into_iter();
        for event in events {
            if let Event::WantsLine(answer) = event {
                answer.send(typed.next().unwrap()).unwrap();
            }
        }
        assert_eq!(reader.join().unwrap(), ["one\n", "\n"]);
    }
}
