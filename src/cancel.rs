//! Ctrl-C as a flag: whatever runs for long looks at it and ends in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that asks a piece of work to end. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks for the end.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether the end was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Takes the request back: the same prompt goes on after a command was interrupted.
    pub fn clear(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// A flag raised by Ctrl-C. Call it once in a process; later calls return a flag that only code raises.
    pub fn on_interrupt() -> Self {
        Self::on_interrupt_then(|| {})
    }

    /// As [`on_interrupt`](Self::on_interrupt), and runs `also` each time, on a thread of its own.
    pub fn on_interrupt_then(also: impl Fn() + Send + 'static) -> Self {
        let cancel = Self::default();
        let raised = cancel.clone();
        let handler = move || {
            raised.cancel();
            also();
        };
        if let Err(error) = ctrlc::set_handler(handler) {
            tracing::debug!(%error, "interrupt handler was already set");
        }
        cancel
    }
}
