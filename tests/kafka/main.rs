//! The client, administration and Kafka's tools on a cluster: the embedded one, or the one that
//! `STREAMLINGS_TEST_BOOTSTRAP` names.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod admin;
mod tools;

use streamlings::kafka::Target;

/// A cluster that lives as long as the test.
struct Cluster {
    target: Target,
    /// Stops with it.
    _embedded: Option<streamlings_broker::Cluster>,
    _data: Option<tempfile::TempDir>,
}

impl Cluster {
    fn start() -> Self {
        if let Ok(bootstrap) = std::env::var("STREAMLINGS_TEST_BOOTSTRAP") {
            return Self {
                target: Target::new(bootstrap),
                _embedded: None,
                _data: None,
            };
        }
        let data = tempfile::tempdir().unwrap();
        let embedded = streamlings_broker::Cluster::builder()
            .data_dir(data.path())
            .port(0)
            .start()
            .unwrap();
        Self {
            target: Target::new(embedded.bootstrap()),
            _embedded: Some(embedded),
            _data: Some(data),
        }
    }

    fn target(&self) -> Target {
        self.target.clone()
    }
}
