//! HOP: windows of one size that start at every slide, so that an event is in several.

use std::sync::Arc;

use super::{Kind, Window, WindowAssigner, aligned_start};
use crate::error::SqlError;

#[derive(Debug)]
struct Hop {
    slide_ms: i64,
    size_ms: i64,
}

pub(super) const KIND: Kind = Kind {
    name: "HOP",
    usage: "HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE): first the slide, then the size",
    intervals: 2,
    build: |intervals| match *intervals {
        [slide_ms, size_ms] if slide_ms > 0 && size_ms > 0 && size_ms % slide_ms == 0 => {
            Ok(Arc::new(Hop { slide_ms, size_ms }))
        }
        _ => {
            Err(SqlError::new("the size of HOP must be a multiple of its slide")
                .help("the slide comes first"))
        }
    },
};

impl WindowAssigner for Hop {
    fn assign(&self, time_ms: i64, windows: &mut Vec<Window>) {
        let last = aligned_start(time_ms, self.slide_ms);
        let count = self.size_ms / self.slide_ms;
        for back in (0..count).rev() {
            let start_ms = last - back * self.slide_ms;
            windows.push(Window {
                start_ms,
                end_ms: start_ms + self.size_ms,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_in_every_window_that_covers_it() {
        let hop = (KIND.build)(&[60_000, 180_000]).unwrap();
        let mut windows = Vec::new();
        hop.assign(200_000, &mut windows);
        let starts: Vec<i64> = windows.iter().map(|window| window.start_ms).collect();
        assert_eq!(starts, [60_000, 120_000, 180_000]);
        assert!((KIND.build)(&[60_000, 90_000]).is_err());
    }
}
