//! Open Badges 3.0: make, sign, draw, bake and verify, offline.
//!
//! A badge is an `OpenBadgeCredential` (1EdTech Open Badges 3.0 on W3C Verifiable Credentials 2.0) with one
//! `eddsa-rdfc-2022` proof by a `did:key`, as JSON, or baked into an SVG or a PNG that shows what it says.
//!
//! ```
//! use streamlings_badge::{Achievement, Award, Email, Holder, Key, Verifier, bake_svg, draw};
//!
//! let key = Key::from_secret([7; 32]);
//! let credential = Award {
//!     id: [1; 16],
//!     achievement: Achievement {
//!         seed: "kafka-flink".into(),
//!         name: "Kafka and Flink, hands on".into(),
//!         description: "Reads, writes and windows streams on a real cluster.".into(),
//!         criteria: "19 of 23 questions answered right.".into(),
//!         max: 23,
//!         required: 19,
//!     },
//!     holder: Holder { name: Some("Ada Lovelace".into()), email: None },
//!     score: 22,
//!     passed_at: "2026-11-22T18:00:00Z".parse()?,
//!     issuer_name: "Ada's own machine".into(),
//! }
//! .credential(key.did())?;
//! let signed = key.sign(credential, "2026-11-22T18:00:01Z".parse()?)?;
//! let svg = bake_svg(&signed)?;
//! let verified = Verifier::at("2026-11-23T00:00:00Z".parse()?).verify(svg.as_bytes())?;
//! assert_eq!(verified.score(), 22);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bake;
mod credential;
mod font;
mod key;
mod picture;
mod proof;
mod verify;

pub use bake::{Container, bake_png, bake_svg, unbake};
pub use credential::{
    Achievement, Award, AwardError, Credential, Email, Holder, MAX_NAME_CHARS, SignedCredential, email_hash,
};
pub use font::undrawable;
pub use key::{Did, DidError, Key};
pub use picture::{DrawError, SIDE_PIXELS, draw, draw_png};
pub use proof::ProofError;
pub use verify::{Picture, Refusal, Trust, Verified, Verifier};

/// The most bytes that a credential's JSON may have: a real one has about 2,500.
pub const MAX_CREDENTIAL_BYTES: usize = 16 * 1024;

/// The most bytes that a badge file may have: a real PNG has about 150,000.
pub const MAX_FILE_BYTES: usize = 2 * 1024 * 1024;
