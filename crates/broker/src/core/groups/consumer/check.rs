//! Who may commit and read offsets.

use kafka_protocol::ResponseError;

use super::Consumer;
use crate::core::Refusal;
use crate::core::groups::{CommitCheck, Committer};

impl Consumer {
    /// May this member of this epoch commit offsets; one that is behind may for what it had already then.
    pub(crate) fn check_commit(&self, by: &Committer) -> Result<CommitCheck, Refusal> {
        if by.generation < 0 && self.members.is_empty() {
            return Ok(CommitCheck::Done);
        }
        let nobody = by.generation == -1 && by.member.is_empty() && by.instance.is_none();
        if by.transactional && nobody {
            return Ok(CommitCheck::Done);
        }
        let member = self
            .members
            .get(by.member)
            .ok_or_else(|| self.not_a_member(by.member))?;
        let classic = member.metadata.classic.is_some();
        if !by.transactional && !classic && by.version < 9 {
            return Err(Refusal::new(
                ResponseError::UnsupportedVersion,
                "OffsetCommit version 9 or above must be used by members using the consumer group protocol",
            ));
        }
        let epoch = member.current.epoch;
        if by.generation == epoch {
            return Ok(CommitCheck::Done);
        }
        if by.generation > epoch {
            return Err(behind(classic).into());
        }
        let mut owned = member.current.revoking.clone();
        for (topic, epochs) in &member.current.assigned {
            owned.entry(*topic).or_default().extend(epochs);
        }
        Ok(CommitCheck::Owned {
            epoch: by.generation,
            owned: Box::new(owned),
            classic,
        })
    }

    /// May this member of this epoch read offsets.
    pub(crate) fn check_fetch(&self, member: Option<&str>, epoch: i32) -> Result<(), Refusal> {
        if member.is_none() && epoch < 0 {
            return Ok(());
        }
        let id = member.unwrap_or_default();
        let member = self.members.get(id).ok_or_else(|| self.not_a_member(id))?;
        if member.current.epoch == epoch {
            return Ok(());
        }
        Err(behind(member.metadata.classic.is_some()).into())
    }
}

fn behind(classic: bool) -> ResponseError {
    if classic {
        ResponseError::IllegalGeneration
    } else {
        ResponseError::StaleMemberEpoch
    }
}
