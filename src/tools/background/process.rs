//! The process of a tool in the background: how it is started, and what it does.

use std::io::{BufRead, BufWriter, Read, Write};
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

use super::Start;
use crate::cancel::Cancel;
use crate::kafka::Target;
use crate::problem::{Exit, Outcome, Problem};
use crate::tools::{ToolFiles, ToolIo, reads_input, run, terminal_input};

/// The hidden subcommand.
const SUBCOMMAND: &str = "tool-process";
/// An order has an address, properties and a typed line.
const ORDER_LIMIT_BYTES: u64 = 1024 * 1024;

/// What the process shall do; the first line of its standard input.
#[derive(Serialize, Deserialize)]
struct Order {
    target: Target,
    words: Vec<String>,
    files: ToolFiles,
    hints: bool,
}

/// Starts the process and gives it its order.
pub(super) fn spawn(start: &Start<'_>) -> Outcome<Child> {
    let cannot = |error: std::io::Error| {
        Problem::new(format!("'{}' can't be started: {error}", start.words[0])).exit(Exit::Usage)
    };
    let order = Order {
        target: start.target.clone(),
        words: start.words.to_vec(),
        files: start.files.clone(),
        hints: start.hints,
    };
    let mut line = serde_json::to_vec(&order).map_err(|error| cannot(error.into()))?;
    line.push(b'\n');
    let mut command = Command::new(crate::home::binary().map_err(cannot)?);
    command
        .arg(SUBCOMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Ctrl-C at the prompt is not for what runs beside it.
        command.process_group(0);
    }
    let mut child = command.spawn().map_err(cannot)?;
    if let Some(stdin) = child.stdin.as_mut() {
        stdin
            .write_all(&line)
            .and_then(|()| stdin.flush())
            .map_err(cannot)?;
    }
    Ok(child)
}

/// The hidden subcommand: runs the tool of its order; ends the process with the tool's exit code.
pub fn serve() -> Outcome<Exit> {
    let cancel = Cancel::on_interrupt();
    let mut stdin = terminal_input(cancel.clone());
    let mut line = String::new();
    let read = (&mut stdin).take(ORDER_LIMIT_BYTES).read_line(&mut line);
    let order: Order = read
        .map_err(serde_json::Error::io)
        .and_then(|_| serde_json::from_str(&line))
        .map_err(|_| {
            Problem::new("this command is the prompt's own").next("COMMAND & starts one in the background")
        })?;
    let reads = order.words.first().is_some_and(|word| reads_input(word));
    let input: Box<dyn BufRead + Send> = if reads {
        stdin
    } else {
        end_with(stdin, cancel.clone());
        Box::new(std::io::empty())
    };
    let mut stdout = BufWriter::new(std::io::stdout());
    let mut stderr = std::io::stderr();
    let code = run(
        &order.words,
        &mut ToolIo {
            target: &order.target,
            files: order.files,
            stdin: input,
            stdin_is_terminal: false,
            stdout: &mut stdout,
            stdout_is_terminal: true,
            stderr: &mut stderr,
            cancel,
            hints: order.hints,
        },
    );
    drop(stdout.flush());
    std::process::exit(code);
}

/// Ends the tool when the prompt that started it has gone.
fn end_with(mut stdin: Box<dyn BufRead + Send>, cancel: Cancel) {
    std::thread::spawn(move || {
        drop(std::io::copy(&mut stdin, &mut std::io::sink()));
        cancel.cancel();
    });
}
