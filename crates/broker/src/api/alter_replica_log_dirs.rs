//! `AlterReplicaLogDirs`: a broker has one log directory, so that only "to where it is" can be done.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use kafka_protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};

use crate::api::shape::{
    Field, I32,
    Kind::{Structs, Text, Values},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = AlterReplicaLogDirsRequest;
    type Call = AlterReplicaLogDirsRequest;
    const VERSIONS: (i16, i16) = (1, 2);
    const NOTE: &'static str = "to the directory where a replica is; there is one per broker";
    const SHAPE: &'static [Field] = &[all(Structs(&[
        all(Text),
        all(Structs(&[all(Text), all(Values(&I32))])),
    ]))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let home = core
            .outside
            .storage
            .get(&caller.broker)
            .map(|storage| storage.path())
            .unwrap_or_default();
        let mut results = Vec::new();
        for dir in call.dirs {
            for topic in dir.topics {
                let known = core.topics.get(&topic.name).map_or(0, |t| t.partitions.len());
                let moved = topic.partitions.iter().map(|index| {
                    let error = if dir.path.as_str() != home {
                        ResponseError::LogDirNotFound.code()
                    } else if usize::try_from(*index).is_ok_and(|index| index < known) {
                        0
                    } else {
                        ResponseError::UnknownTopicOrPartition.code()
                    };
                    AlterReplicaLogDirPartitionResult::default()
                        .with_partition_index(*index)
                        .with_error_code(error)
                });
                let moved = moved.collect();
                results.push(
                    AlterReplicaLogDirTopicResult::default()
                        .with_topic_name(topic.name)
                        .with_partitions(moved),
                );
            }
        }
        Answer::message(AlterReplicaLogDirsResponse::default().with_results(results))
    }
}
