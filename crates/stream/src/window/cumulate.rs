//! CUMULATE: windows of one start that grow step by step up to their full size.

use std::sync::Arc;

use super::{Kind, Window, WindowAssigner, aligned_start};
use crate::error::SqlError;

#[derive(Debug)]
struct Cumulate {
    step_ms: i64,
    size_ms: i64,
}

pub(super) const KIND: Kind = Kind {
    name: "CUMULATE",
    usage: "CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE): first the step, then the size",
    intervals: 2,
    build: |intervals| match *intervals {
        [step_ms, size_ms] if step_ms > 0 && size_ms > 0 && size_ms % step_ms == 0 => {
            Ok(Arc::new(Cumulate { step_ms, size_ms }))
        }
        _ => Err(
            SqlError::new("the size of CUMULATE must be a multiple of its step").help("the step comes first"),
        ),
    },
};

impl WindowAssigner for Cumulate {
    fn assign(&self, time_ms: i64, windows: &mut Vec<Window>) {
        let start_ms = aligned_start(time_ms, self.size_ms);
        let steps_before = (time_ms - start_ms) / self.step_ms;
        for step in steps_before + 1..=self.size_ms / self.step_ms {
            windows.push(Window {
                start_ms,
                end_ms: start_ms + step * self.step_ms,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_in_this_step_and_all_after_it() {
        let cumulate = (KIND.build)(&[60_000, 180_000]).unwrap();
        let mut windows = Vec::new();
        cumulate.assign(250_000, &mut windows);
        let bounds: Vec<_> = windows
            .iter()
            .map(|window| (window.start_ms, window.end_ms))
            .collect();
        assert_eq!(bounds, [(180_000, 300_000), (180_000, 360_000)]);
    }
}
