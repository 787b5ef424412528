//! A lab of one's own, for a check that must not touch the user's.

use super::client::LabClient;
use super::launch::{Interaction, up};
use super::request::{BackendChoice, UpRequest};
use crate::home::Home;
use crate::problem::{Exit, Outcome, Problem};

/// An embedded lab in a home folder that vanishes with it.
#[derive(Debug)]
pub struct Temporary {
    client: LabClient,
    home: Home,
    _folder: tempfile::TempDir,
}

impl Temporary {
    /// Starts it on free ports, with so many brokers.
    pub fn start(brokers: u16) -> Outcome<Self> {
        let folder = tempfile::Builder::new()
            .prefix("streamlings-")
            .tempdir()
            .map_err(|error| {
                Problem::new(format!("no temporary folder can be made: {error}")).exit(Exit::NoLab)
            })?;
        let home = Home::at(folder.path());
        let request = UpRequest {
            backend: Some(BackendChoice::Embedded),
            port: Some(0),
            brokers: Some(brokers.max(1)),
            ..UpRequest::default()
        };
        let client = up(&home, &request, Interaction::Never)?.client;
        Ok(Self {
            client,
            home,
            _folder: folder,
        })
    }

    /// The way to ask it.
    pub fn client(&self) -> &LabClient {
        &self.client
    }

    /// Its home folder.
    pub fn home(&self) -> &Home {
        &self.home
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(problem) = self.client.down() {
            tracing::warn!(%problem, "a temporary lab didn't stop in order");
        }
    }
}
