//! The lab: one background process that owns the cluster and the running jobs, and what starts, asks and stops it.
//!
//! `up` decides where the cluster runs (`request`) and starts the process (`launch`), which is this binary again
//! with a hidden subcommand (`process`). It owns a `backend` and the jobs, and serves its control interface on
//! loopback (`control`); every other command is a [`LabClient`] of it. What is on disk about it: `state`.

mod backend;
mod client;
pub mod command;
mod control;
pub mod hands;
mod launch;
mod logfile;
mod process;
mod properties;
mod request;
mod spinner;
mod state;
mod status;
mod temporary;

pub use client::LabClient;
pub use launch::{Interaction, Up, ensure_up, up};
pub use request::{BackendChoice, UpRequest};
pub use status::{
    BackendKind, BrokerStatus, BrokerVerb, Capabilities, FaultAction, FaultRule, LabStatus, Witnessed,
};
pub use temporary::Temporary;
