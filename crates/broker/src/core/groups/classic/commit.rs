//! Who may commit offsets.

use kafka_protocol::ResponseError;

use super::{Classic, State};
use crate::core::Refusal;
use crate::core::groups::{CommitCheck, Committer, Cx};

impl Classic {
    /// May this member of this generation commit offsets.
    pub(crate) fn check_commit(&self, by: &Committer) -> Result<CommitCheck, Refusal> {
        if by.generation < 0 && self.state == State::Empty {
            return Ok(CommitCheck::Done);
        }
        if by.generation >= 0 || !by.member.is_empty() || by.instance.is_some() {
            if let Some(error) = self.identity_error(by.member, by.instance) {
                return Err(error.into());
            }
            if by.generation != self.generation {
                return Err(ResponseError::IllegalGeneration.into());
            }
        } else if !by.transactional && self.state != State::Empty {
            return Err(ResponseError::UnknownMemberId.into());
        }
        if !by.transactional && self.state == State::CompletingRebalance {
            return Err(ResponseError::RebalanceInProgress.into());
        }
        Ok(CommitCheck::Done)
    }

    /// A commit is as good as a heartbeat.
    pub(crate) fn heard_commit(&mut self, cx: &mut Cx, member: &str) {
        if matches!(self.state, State::Stable | State::PreparingRebalance) {
            self.heard_of(cx, member);
        }
    }
}
