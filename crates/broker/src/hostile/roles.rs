//! What the fields of requests stand for, so that an input can say "the group" and not spell it.

use kafka_protocol::messages::ApiKey;

/// What a field stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing in particular.
    Any,
    Topic,
    TopicId,
    Partition,
    Offset,
    LeaderEpoch,
    Group,
    Member,
    Instance,
    Generation,
    ProtocolType,
    Protocol,
    /// A subscription or an assignment of the consumer protocol.
    Consumer,
    Assignor,
    Pattern,
    Transaction,
    /// A group or a transaction, as a coordinator's key.
    Coordinated,
    ProducerId,
    ProducerEpoch,
    /// A fetch session, or none.
    Session,
    /// The epoch that goes with it, mostly.
    SessionEpoch,
    Batch,
    Acks,
    /// A time, in milliseconds.
    Wait,
    /// A size, in bytes.
    Size,
    Broker,
    ResourceType,
    Resource,
    Config,
    Value,
    Count,
    Replication,
    /// False, mostly.
    Flag,
    Zero,
    Absent,
    /// The epoch of a share session.
    ShareEpoch,
    /// What is said of a record that was read.
    Word,
}

use Role::{
    Absent, Acks, Any, Assignor, Batch, Broker, Config, Consumer, Coordinated, Count, Flag, Generation,
    Group, Instance, LeaderEpoch, Member, Offset, Partition, Pattern, ProducerEpoch, ProducerId, Protocol,
    ProtocolType, Replication, Resource, ResourceType, Session, SessionEpoch, ShareEpoch, Size, Topic,
    TopicId, Transaction, Value, Wait, Word, Zero,
};

/// The roles of a key's fields, in the order of its shape, those of all versions included; empty for "nothing in
/// particular".
pub(super) fn of(key: i16) -> &'static [Role] {
    let Ok(key) = ApiKey::try_from(key) else {
        return &[];
    };
    match key {
        ApiKey::Produce => &[Transaction, Acks, Wait, Topic, TopicId, Partition, Batch],
        ApiKey::Fetch => &[
            Absent,
            Wait,
            Count,
            Size,
            Flag,
            Session,
            SessionEpoch,
            Topic,
            TopicId,
            Partition,
            LeaderEpoch,
            Offset,
            LeaderEpoch,
            Offset,
            Size,
            Topic,
            TopicId,
            Partition,
            Any,
        ],
        ApiKey::ListOffsets => &[Absent, Flag, Topic, Partition, LeaderEpoch, Offset, Wait],
        ApiKey::Metadata => &[TopicId, Topic, Flag, Flag, Flag],
        ApiKey::OffsetCommit => &[
            Group,
            Generation,
            Member,
            Instance,
            Wait,
            Topic,
            TopicId,
            Partition,
            Offset,
            LeaderEpoch,
            Any,
        ],
        ApiKey::OffsetFetch => &[
            Group, Topic, Partition, Group, Member, Generation, Topic, TopicId, Partition, Flag,
        ],
        ApiKey::FindCoordinator => &[Coordinated, Flag, Coordinated],
        ApiKey::JoinGroup => &[
            Group,
            Wait,
            Wait,
            Member,
            Instance,
            ProtocolType,
            Protocol,
            Consumer,
            Any,
        ],
        ApiKey::Heartbeat => &[Group, Generation, Member, Instance],
        ApiKey::LeaveGroup => &[Group, Member, Member, Instance, Any],
        ApiKey::SyncGroup => &[
            Group,
            Generation,
            Member,
            Instance,
            ProtocolType,
            Protocol,
            Member,
            Consumer,
        ],
        ApiKey::DescribeGroups | ApiKey::ConsumerGroupDescribe | ApiKey::ShareGroupDescribe => &[Group, Flag],
        ApiKey::CreateTopics => &[
            Topic,
            Count,
            Replication,
            Partition,
            Broker,
            Config,
            Value,
            Wait,
            Flag,
        ],
        ApiKey::DeleteTopics => &[Topic, TopicId, Topic, Wait],
        ApiKey::DeleteRecords => &[Topic, Partition, Offset, Wait],
        ApiKey::InitProducerId => &[Transaction, Wait, ProducerId, ProducerEpoch],
        ApiKey::OffsetForLeaderEpoch => &[Absent, Topic, Partition, LeaderEpoch, LeaderEpoch],
        ApiKey::AddPartitionsToTxn => &[
            Transaction,
            ProducerId,
            ProducerEpoch,
            Flag,
            Topic,
            Partition,
            Transaction,
            ProducerId,
            ProducerEpoch,
            Topic,
            Partition,
        ],
        ApiKey::AddOffsetsToTxn => &[Transaction, ProducerId, ProducerEpoch, Group],
        ApiKey::EndTxn => &[Transaction, ProducerId, ProducerEpoch, Flag],
        ApiKey::WriteTxnMarkers => &[ProducerId, ProducerEpoch, Flag, Topic, Partition, Zero],
        ApiKey::TxnOffsetCommit => &[
            Transaction,
            Group,
            ProducerId,
            ProducerEpoch,
            Generation,
            Member,
            Instance,
            Topic,
            Partition,
            Offset,
            LeaderEpoch,
            Any,
        ],
        ApiKey::DescribeConfigs => &[ResourceType, Resource, Config, Flag, Flag],
        ApiKey::AlterConfigs => &[ResourceType, Resource, Config, Value, Flag],
        ApiKey::IncrementalAlterConfigs => &[ResourceType, Resource, Config, Flag, Value, Flag],
        ApiKey::DescribeLogDirs | ApiKey::DescribeProducers => &[Topic, Partition],
        ApiKey::CreatePartitions => &[Topic, Count, Broker, Wait, Flag],
        ApiKey::DeleteGroups => &[Group],
        ApiKey::ElectLeaders => &[Flag, Topic, Partition, Wait],
        ApiKey::AlterPartitionReassignments => &[Wait, Flag, Topic, Partition, Broker],
        ApiKey::ListPartitionReassignments => &[Wait, Topic, Partition],
        ApiKey::OffsetDelete | ApiKey::DescribeShareGroupOffsets => &[Group, Topic, Partition],
        ApiKey::DescribeTransactions => &[Transaction],
        ApiKey::ListTransactions => &[Any, ProducerId, Wait, Pattern],
        ApiKey::ConsumerGroupHeartbeat => &[
            Group, Member, Generation, Instance, Any, Wait, Topic, Pattern, Assignor, TopicId, Partition,
        ],
        ApiKey::ShareGroupHeartbeat => &[Group, Member, Generation, Any, Topic],
        ApiKey::ShareFetch => &[
            Group, Member, ShareEpoch, Wait, Count, Size, Count, Count, Flag, Flag, TopicId, Partition,
            Offset, Offset, Word, TopicId, Partition,
        ],
        ApiKey::ShareAcknowledge => &[
            Group, Member, ShareEpoch, Flag, TopicId, Partition, Offset, Offset, Word,
        ],
        ApiKey::AlterShareGroupOffsets => &[Group, Topic, Partition, Offset],
        ApiKey::DeleteShareGroupOffsets => &[Group, Topic],
        ApiKey::DescribeTopicPartitions => &[Topic, Count, Topic, Partition],
        _ => &[],
    }
}
