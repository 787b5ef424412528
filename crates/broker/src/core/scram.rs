//! SCRAM credentials (KIP-554): kept and told as in Kafka. No listener of this cluster asks for them.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;

use super::Refusal;
use super::journal::Record;

/// A mechanism, with the protocol's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mechanism {
    Sha256 = 1,
    Sha512 = 2,
}

impl Mechanism {
    /// The mechanism behind the protocol's number.
    pub(crate) fn from_code(code: i8) -> Option<Self> {
        match code {
            1 => Some(Self::Sha256),
            2 => Some(Self::Sha512),
            _ => None,
        }
    }
}

/// What is kept of one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) iterations: i32,
    pub(crate) salt: Vec<u8>,
    pub(crate) salted_password: Vec<u8>,
}

/// All credentials.
#[derive(Debug, Default)]
pub(crate) struct ScramCredentials {
    by_user: BTreeMap<String, BTreeMap<Mechanism, Credential>>,
}

impl ScramCredentials {
    /// The names of those who have one.
    pub(crate) fn users(&self) -> impl Iterator<Item = &String> {
        self.by_user.keys()
    }

    /// What one user has.
    pub(crate) fn of(&self, user: &str) -> Option<&BTreeMap<Mechanism, Credential>> {
        self.by_user.get(user)
    }

    /// All of them, for the journal.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> {
        self.by_user.iter().flat_map(|(user, credentials)| {
            credentials.iter().map(|(mechanism, credential)| Record::Scram {
                user: user.clone(),
                mechanism: *mechanism as i8,
                credential: Some((
                    credential.iterations,
                    credential.salt.clone(),
                    credential.salted_password.clone(),
                )),
            })
        })
    }

    /// Takes a change, of now or from the journal.
    pub(crate) fn apply(&mut self, user: String, mechanism: Mechanism, credential: Option<Credential>) {
        let of_user = self.by_user.entry(user.clone()).or_default();
        match credential {
            Some(credential) => of_user.insert(mechanism, credential),
            None => of_user.remove(&mechanism),
        };
        if of_user.is_empty() {
            self.by_user.remove(&user);
        }
    }
}

/// A wish for one user.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) user: String,
    /// The protocol's number of the mechanism.
    pub(crate) mechanism: i8,
    /// None deletes.
    pub(crate) credential: Option<Credential>,
}

impl super::Core {
    /// Judges a wish by itself; the mechanism that it is about.
    ///
    /// # Errors
    /// Kafka's code and message.
    pub(crate) fn check_scram(&self, wish: &Wish) -> Result<Mechanism, Refusal> {
        let unacceptable = |why: &str| Err(Refusal::new(ResponseError::UnacceptableCredential, why));
        if wish.user.is_empty() {
            return unacceptable("Username must not be empty");
        }
        let Some(mechanism) = Mechanism::from_code(wish.mechanism) else {
            return Err(Refusal::new(
                ResponseError::UnsupportedSaslMechanism,
                "Unknown SCRAM mechanism",
            ));
        };
        match &wish.credential {
            Some(credential) if credential.iterations < 4096 => unacceptable("Too few iterations"),
            Some(credential) if credential.iterations > 16384 => unacceptable("Too many iterations"),
            None if self
                .scram
                .of(&wish.user)
                .is_none_or(|has| !has.contains_key(&mechanism)) =>
            {
                Err(Refusal::new(
                    ResponseError::ResourceNotFound,
                    "Attempt to delete a user credential that does not exist",
                ))
            }
            _ => Ok(mechanism),
        }
    }

    /// Changes one credential.
    ///
    /// # Errors
    /// Kafka's code and message.
    pub(crate) fn alter_scram(&mut self, wish: Wish) -> Result<(), Refusal> {
        let mechanism = self.check_scram(&wish)?;
        let credential = wish
            .credential
            .as_ref()
            .map(|c| (c.iterations, c.salt.clone(), c.salted_password.clone()));
        self.journal(&[Record::Scram {
            user: wish.user.clone(),
            mechanism: wish.mechanism,
            credential,
        }])?;
        self.scram.apply(wish.user, mechanism, wish.credential);
        Ok(())
    }
}
