//! TUMBLE: windows of one size, side by side.

use std::sync::Arc;

use super::{Kind, Window, WindowAssigner, aligned_start};
use crate::error::SqlError;

#[derive(Debug)]
struct Tumble {
    size_ms: i64,
}

pub(super) const KIND: Kind = Kind {
    name: "TUMBLE",
    usage: "TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)",
    intervals: 1,
    build: |intervals| match *intervals {
        [size_ms] if size_ms > 0 => Ok(Arc::new(Tumble { size_ms })),
        _ => Err(SqlError::new("the size of TUMBLE must be more than 0")),
    },
};

impl WindowAssigner for Tumble {
    fn assign(&self, time_ms: i64, windows: &mut Vec<Window>) {
        let start_ms = aligned_start(time_ms, self.size_ms);
        windows.push(Window {
            start_ms,
            end_ms: start_ms + self.size_ms,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_aligned_to_the_epoch_also_before_it() {
        let tumble = (KIND.build)(&[60_000]).unwrap();
        let mut windows = Vec::new();
        for time_ms in [0, 59_999, 60_000, -1] {
            tumble.assign(time_ms, &mut windows);
        }
        let starts: Vec<i64> = windows.iter().map(|window| window.start_ms).collect();
        assert_eq!(starts, [0, 0, 60_000, -60_000]);
        assert!((KIND.build)(&[0]).is_err());
    }
}
