//! A broker that does nothing, for `benches/run`: what clients reach with it, they can't pass with any broker.
//!
//! It says yes to every record and keeps none; it gives records that were made once, and any topic is there, with four
//! partitions that are full already. A topic's name ends with the number of records of its batches (`in-10000`).
//!
//! usage: ceiling PORT RECORDS_OF_A_PARTITION

#![allow(missing_docs, reason = "a program")]
#![allow(clippy::unwrap_used, reason = "a measurement that can't go on ends")]

use std::collections::HashMap;
use std::io::{self, BufReader, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, BrokerId, FetchRequest, FindCoordinatorResponse, HeartbeatResponse,
    InitProducerIdResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetCommitRequest, OffsetCommitResponse,
    OffsetFetchRequest, OffsetFetchResponse, ProduceRequest, ProduceResponse, ProducerId, RequestHeader,
    ResponseHeader, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record,
    RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

const PARTITIONS: i32 = 4;
const RECORD_BYTES: usize = 100;
const NODE: BrokerId = BrokerId(1);
/// Of each API key, the one version that is spoken: the newest that names topics by name.
const SPOKEN: [(ApiKey, i16); 13] = [
    (ApiKey::Produce, 9),
    (ApiKey::Fetch, 11),
    (ApiKey::ListOffsets, 5),
    (ApiKey::Metadata, 9),
    (ApiKey::OffsetCommit, 7),
    (ApiKey::OffsetFetch, 5),
    (ApiKey::FindCoordinator, 3),
    (ApiKey::JoinGroup, 5),
    (ApiKey::Heartbeat, 3),
    (ApiKey::LeaveGroup, 3),
    (ApiKey::SyncGroup, 3),
    (ApiKey::ApiVersions, 3),
    (ApiKey::InitProducerId, 3),
];

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let [port, records] = &words[..] else {
        // `cargo bench` and `cargo test` start it without words.
        eprintln!("usage: ceiling PORT RECORDS_OF_A_PARTITION; see benches/run");
        return;
    };
    let (port, records) = (port.parse().unwrap(), records.parse().unwrap());
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    for peer in listener.incoming() {
        let peer = peer.unwrap();
        thread::spawn(move || {
            Connection {
                port: i32::from(port),
                records,
                batches: HashMap::new(),
            }
            .serve(peer);
        });
    }
}

/// Batches of one size, end to end, of which a fetch of one partition gets as many as it has room for.
struct Batches {
    records: i64,
    batch_bytes: usize,
    bytes: Vec<u8>,
}

impl Batches {
    const ROOM: usize = 1 << 20;

    fn new(records: i64) -> Self {
        let value = Bytes::from(vec![b'x'; RECORD_BYTES]);
        let each = |offset| Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            timestamp_type: TimestampType::Creation,
            offset,
            // Where offsets and sequence numbers part, the encoder begins another batch.
            sequence: NO_SEQUENCE + offset as i32,
            timestamp: 1_772_388_000_000,
            key: None,
            value: Some(value.clone()),
            headers: IndexMap::new(),
        };
        let records_of_one: Vec<Record> = (0..records).map(each).collect();
        let options = RecordEncodeOptions {
            version: 2,
            compression: Compression::None,
        };
        let mut one = BytesMut::new();
        RecordBatchEncoder::encode(&mut one, &records_of_one, &options).unwrap();
        let batch_bytes = one.len();
        let length = u32::from_be_bytes(one[8..12].try_into().unwrap()) as usize;
        assert_eq!(batch_bytes, 12 + length, "one batch");
        let bytes = one.repeat((Self::ROOM / batch_bytes).max(1));
        Self {
            records,
            batch_bytes,
            bytes,
        }
    }

    /// Makes them those from an offset on, as many as there is room for before an end; says how many bytes that is.
    fn give(&mut self, from: i64, end: i64, room: usize) -> usize {
        let left = usize::try_from((end - from) / self.records).unwrap();
        let count = (room.min(self.bytes.len()) / self.batch_bytes).max(1).min(left);
        let batches = self.bytes.chunks_mut(self.batch_bytes);
        for (number, batch) in batches.take(count).enumerate() {
            // A batch begins with its base offset, which no checksum covers.
            let base = from + self.records * number as i64;
            batch[..8].copy_from_slice(&base.to_be_bytes());
        }
        count * self.batch_bytes
    }
}

struct Connection {
    port: i32,
    /// Of each partition.
    records: i64,
    /// By partition and the number of records of one batch.
    batches: HashMap<(i32, i64), Batches>,
}

impl Connection {
    fn serve(mut self, mut peer: TcpStream) {
        peer.set_nodelay(true).unwrap();
        let mut input = BufReader::with_capacity(256 << 10, peer.try_clone().unwrap());
        let mut size = [0; 4];
        while input.read_exact(&mut size).is_ok() {
            let mut frame = vec![0; u32::from_be_bytes(size) as usize];
            if input.read_exact(&mut frame).is_err() {
                return;
            }
            let mut frame = Bytes::from(frame);
            let key = ApiKey::try_from(i16::from_be_bytes([frame[0], frame[1]])).unwrap();
            let version = i16::from_be_bytes([frame[2], frame[3]]);
            let header = RequestHeader::decode(&mut frame, key.request_header_version(version)).unwrap();
            if key == ApiKey::Fetch {
                let request = FetchRequest::decode(&mut frame, version).unwrap();
                if self.fetch(header.correlation_id, request, &mut peer).is_err() {
                    return;
                }
                continue;
            }
            let mut answer = BytesMut::new();
            answer.put_u32(0);
            ResponseHeader::default()
                .with_correlation_id(header.correlation_id)
                .encode(&mut answer, key.response_header_version(version))
                .unwrap();
            self.answer(key, version, &mut frame, &mut answer);
            let length = u32::try_from(answer.len() - 4).unwrap();
            answer[..4].copy_from_slice(&length.to_be_bytes());
            if peer.write_all(&answer).is_err() {
                return;
            }
        }
    }

    fn answer(&mut self, key: ApiKey, version: i16, body: &mut Bytes, out: &mut BytesMut) {
        macro_rules! request {
            ($kind:ty) => {
                <$kind>::decode(body, version).unwrap()
            };
        }
        match key {
            ApiKey::ApiVersions => versions(version).encode(out, if version > 3 { 0 } else { version }),
            ApiKey::Metadata => self.metadata(&request!(MetadataRequest)).encode(out, version),
            ApiKey::Produce => produced(request!(ProduceRequest)).encode(out, version),
            ApiKey::ListOffsets => self.offsets(request!(ListOffsetsRequest)).encode(out, version),
            ApiKey::InitProducerId => InitProducerIdResponse::default()
                .with_producer_id(ProducerId(1))
                .encode(out, version),
            ApiKey::FindCoordinator => FindCoordinatorResponse::default()
                .with_node_id(NODE)
                .with_host(host())
                .with_port(self.port)
                .encode(out, version),
            ApiKey::JoinGroup => joined(request!(JoinGroupRequest)).encode(out, version),
            ApiKey::SyncGroup => synced(request!(SyncGroupRequest)).encode(out, version),
            ApiKey::Heartbeat => HeartbeatResponse::default().encode(out, version),
            ApiKey::LeaveGroup => LeaveGroupResponse::default().encode(out, version),
            ApiKey::OffsetCommit => committed(request!(OffsetCommitRequest)).encode(out, version),
            ApiKey::OffsetFetch => nothing_committed(request!(OffsetFetchRequest)).encode(out, version),
            other => panic!("{other:?} is not spoken"),
        }
        .unwrap();
    }

    fn metadata(&self, request: &MetadataRequest) -> MetadataResponse {
        let partition = |index| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(NODE)
                .with_replica_nodes(vec![NODE])
                .with_isr_nodes(vec![NODE])
        };
        let asked = request
            .topics
            .iter()
            .flatten()
            .filter_map(|topic| topic.name.clone());
        let topics = asked.map(|name| {
            MetadataResponseTopic::default()
                .with_name(Some(name))
                .with_partitions((0..PARTITIONS).map(partition).collect())
        });
        let broker = MetadataResponseBroker::default()
            .with_node_id(NODE)
            .with_host(host())
            .with_port(self.port);
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_controller_id(NODE)
            .with_topics(topics.collect())
    }

    /// Answers a Fetch of version 11 from where the records are, so that nothing but the kernel copies them.
    fn fetch(&mut self, correlation: i32, request: FetchRequest, peer: &mut TcpStream) -> io::Result<()> {
        const NO_REPLICA: i32 = -1;
        let mut given = Vec::new();
        let mut head = BytesMut::new();
        // Length, correlation id; throttle time, error, session.
        head.put_i32(0);
        head.put_i32(correlation);
        head.put_i32(0);
        head.put_i16(0);
        head.put_i32(0);
        head.put_i32(request.topics.len() as i32);
        for topic in request.topics {
            let records = batch_records(&topic.topic);
            head.put_i16(topic.topic.len() as i16);
            head.put_slice(topic.topic.as_bytes());
            head.put_i32(topic.partitions.len() as i32);
            for asked in topic.partitions {
                let key = (asked.partition, records);
                let batches = self.batches.entry(key).or_insert_with(|| Batches::new(records));
                let room = usize::try_from(asked.partition_max_bytes).unwrap();
                let length = batches.give(asked.fetch_offset, self.records, room);
                // Error, high watermark, last stable offset, log start, no aborted transactions.
                head.put_i32(asked.partition);
                head.put_i16(0);
                head.put_i64(self.records);
                head.put_i64(self.records);
                head.put_i64(0);
                head.put_i32(0);
                head.put_i32(NO_REPLICA);
                head.put_i32(length as i32);
                given.push((head.split(), key, length));
            }
        }
        let length: usize = given.iter().map(|(head, _, length)| head.len() + length).sum();
        if let Some((first, ..)) = given.first_mut() {
            first[..4].copy_from_slice(&(length as i32 - 4).to_be_bytes());
        }
        if given.iter().all(|(_, _, length)| *length == 0) {
            thread::park_timeout(Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap()));
        }
        let slices = given.iter().flat_map(|(head, key, length)| {
            let records = &self.batches[key].bytes[..*length];
            [IoSlice::new(head), IoSlice::new(records)]
        });
        write_all(peer, &mut slices.collect::<Vec<_>>())
    }

    fn offsets(&self, request: ListOffsetsRequest) -> ListOffsetsResponse {
        const LATEST: i64 = -1;
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|asked| {
                ListOffsetsPartitionResponse::default()
                    .with_partition_index(asked.partition_index)
                    .with_offset(if asked.timestamp == LATEST {
                        self.records
                    } else {
                        0
                    })
            });
            ListOffsetsTopicResponse::default()
                .with_partitions(partitions.collect())
                .with_name(topic.name)
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }
}

fn versions(asked: i16) -> ApiVersionsResponse {
    const UNSUPPORTED_VERSION: i16 = 35;
    let each = |(key, version): (ApiKey, i16)| {
        let oldest = if key == ApiKey::ApiVersions { 0 } else { version };
        ApiVersion::default()
            .with_api_key(key as i16)
            .with_min_version(oldest)
            .with_max_version(version)
    };
    ApiVersionsResponse::default()
        .with_error_code(if asked > 3 { UNSUPPORTED_VERSION } else { 0 })
        .with_api_keys(SPOKEN.into_iter().map(each).collect())
}

fn write_all(peer: &mut TcpStream, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        let written = peer.write_vectored(slices)?;
        IoSlice::advance_slices(&mut slices, written);
    }
    Ok(())
}

fn host() -> StrBytes {
    StrBytes::from_static_str("127.0.0.1")
}

fn batch_records(topic: &str) -> i64 {
    topic.rsplit('-').next().unwrap().parse().unwrap()
}

fn produced(request: ProduceRequest) -> ProduceResponse {
    let topics = request.topic_data.into_iter().map(|topic| {
        let partitions = topic
            .partition_data
            .iter()
            .map(|data| PartitionProduceResponse::default().with_index(data.index));
        TopicProduceResponse::default()
            .with_partition_responses(partitions.collect())
            .with_name(topic.name)
    });
    ProduceResponse::default().with_responses(topics.collect())
}

/// Who joins is the leader of a group of its own.
fn joined(request: JoinGroupRequest) -> JoinGroupResponse {
    let id = StrBytes::from_static_str("member");
    let protocol = request.protocols.into_iter().next().unwrap();
    let member = JoinGroupResponseMember::default()
        .with_member_id(id.clone())
        .with_metadata(protocol.metadata);
    JoinGroupResponse::default()
        .with_generation_id(1)
        .with_protocol_name(Some(protocol.name))
        .with_leader(id.clone())
        .with_member_id(id)
        .with_members(vec![member])
}

fn synced(request: SyncGroupRequest) -> SyncGroupResponse {
    let given = request.assignments.into_iter().next();
    SyncGroupResponse::default().with_assignment(given.map(|member| member.assignment).unwrap_or_default())
}

fn nothing_committed(request: OffsetFetchRequest) -> OffsetFetchResponse {
    let topics = request.topics.into_iter().flatten().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(*index)
                .with_committed_offset(-1)
        });
        OffsetFetchResponseTopic::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

fn committed(request: OffsetCommitRequest) -> OffsetCommitResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            OffsetCommitResponsePartition::default().with_partition_index(asked.partition_index)
        });
        OffsetCommitResponseTopic::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}
