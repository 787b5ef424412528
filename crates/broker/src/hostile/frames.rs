//! Frames: a request's header, then what its shape asks for.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::choices::Choices;
use super::rig::Known;
use super::roles::{self, Role};
use crate::api::TABLE;
use crate::api::shape::{Field, Kind};
use crate::log::{BatchOptions, Codec, NewRecord, build_batch};

/// Choices from here on are none that a role has.
const WILD: u8 = 230;

const TOPICS: &[&str] = &[
    "rides",
    "fares",
    "new",
    "__consumer_offsets",
    "__transaction_state",
    "",
    "no/name",
];
const GROUPS: &[&str] = &["group", "other", ""];
const SHARE_GROUPS: &[&str] = &["share", "share", "share", "other", "group", ""];
const TRANSACTIONS: &[&str] = &["txn", "other", ""];
const TEXTS: &[&str] = &[
    "",
    "user",
    "client-id",
    "ip",
    "Empty",
    "Ongoing",
    "metadata.version",
    "kraft.version",
    "SCRAM-SHA-256",
    "PLAIN",
    "producer_byte_rate",
    "consumer_byte_rate",
    "request_percentage",
    "controller_mutation_rate",
    "127.0.0.1",
    "/",
];
const VALUES: &[&str] = &[
    "1",
    "0",
    "-1",
    "100",
    "1000",
    "compact",
    "delete",
    "compact,delete",
    "true",
    "false",
    "LogAppendTime",
    "zstd",
    "gzip",
    "9223372036854775807",
    "",
    "1:1,2:2",
    "*",
    "INFO",
    "earliest",
    "read_committed",
    "15000",
];
const PATTERNS: &[&str] = &[".*", "r.*", "(rides|fares)", "[", "", "(a{1000}){1000}"];
const GROUP_CONFIGS: &[&str] = &[
    "consumer.session.timeout.ms",
    "consumer.heartbeat.interval.ms",
    "interval.ms",
    "metrics",
    "match",
    "kafka.server",
    "share.auto.offset.reset",
    "share.isolation.level",
    "share.record.lock.duration.ms",
    "share.delivery.count.limit",
];

/// A frame without its length.
pub(super) fn frame(choices: &mut Choices, known: &mut Known) -> Bytes {
    let api = &TABLE[choices.below(TABLE.len())];
    let version = api.min + choices.below((api.max - api.min + 1) as usize) as i16;
    let header_version = (api.request_header)(version);
    let mut out = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(api.key)
        .with_request_api_version(version)
        .with_correlation_id(1)
        .with_client_id(Some(StrBytes::from_static_str("fuzz")))
        .encode(&mut out, header_version)
        .expect("a header");
    let mut writer = Writer {
        choices,
        known,
        version,
        flexible: header_version >= 2,
        roles: roles::of(api.key),
        out,
    };
    writer.fields(api.shape, 0);
    let mut out = writer.out;
    match choices.byte() {
        250..=252 => {
            let at = choices.number(2) as usize % out.len();
            out[at] ^= choices.byte();
        }
        253..=254 => out.truncate(8 + choices.below(out.len() - 7)),
        255 => out.put_slice(choices.raw(40)),
        _ => {}
    }
    out.freeze()
}

/// How many fields a shape has, all versions together.
pub(super) fn leaves(fields: &[Field]) -> usize {
    fields.iter().map(|field| leaves_of(&field.kind)).sum()
}

fn leaves_of(kind: &Kind) -> usize {
    match kind {
        Kind::Structs(fields) | Kind::Maybe(fields) => leaves(fields),
        _ => 1,
    }
}

struct Writer<'c, 'i, 'k> {
    choices: &'c mut Choices<'i>,
    known: &'k mut Known,
    version: i16,
    flexible: bool,
    roles: &'static [Role],
    out: BytesMut,
}

impl Writer<'_, '_, '_> {
    fn fields(&mut self, fields: &[Field], mut at: usize) {
        for field in fields {
            if (field.from..=field.to).contains(&self.version) {
                self.value(&field.kind, at);
            }
            at += leaves_of(&field.kind);
        }
        if self.flexible {
            self.tags();
        }
    }

    fn tags(&mut self) {
        if self.choices.byte() < 250 {
            return self.out.put_u8(0);
        }
        let (tag, value) = (self.choices.byte() & 3, self.choices.raw(12));
        self.out.put_slice(&[1, tag, value.len() as u8]);
        self.out.put_slice(value);
    }

    fn value(&mut self, kind: &Kind, at: usize) {
        let role = self.roles.get(at).copied().unwrap_or(Role::Any);
        match kind {
            Kind::Fixed(16) => {
                let id = self.topic_id(role);
                self.out.put_slice(&id);
            }
            Kind::Fixed(len) => {
                let number = self.number(role, *len);
                self.out.put_slice(&number.to_be_bytes()[8 - len..]);
            }
            Kind::Text => {
                let text = self.text(role);
                self.length(text.as_ref().map(Vec::len), 2);
                self.out.put_slice(&text.unwrap_or_default());
            }
            Kind::Bytes => {
                let bytes = self.bytes(role);
                self.length(bytes.as_ref().map(Bytes::len), 4);
                self.out.put_slice(&bytes.unwrap_or_default());
            }
            Kind::Structs(fields) => {
                for _ in 0..self.count() {
                    self.fields(fields, at);
                }
            }
            Kind::Maybe(fields) => {
                if self.choices.byte() < 128 {
                    self.out.put_i8(-1);
                } else {
                    self.out.put_i8(1);
                    self.fields(fields, at);
                }
            }
            Kind::Values(kind) => {
                for _ in 0..self.count() {
                    self.value(kind, at);
                }
            }
        }
    }

    /// The length of an array: one element, mostly.
    fn count(&mut self) -> usize {
        let count = match self.choices.byte() {
            0..=159 => Some(1),
            160..=199 => Some(2),
            200..=219 => Some(3),
            220..=239 => Some(0),
            _ => None,
        };
        self.length(count, 4);
        count.unwrap_or(0)
    }

    /// A length, of so many bytes where it is not compact.
    fn length(&mut self, len: Option<usize>, bytes: usize) {
        if self.flexible {
            let mut left = len.map_or(0, |len| len as u32 + 1);
            while left >= 0x80 {
                self.out.put_u8(left as u8 | 0x80);
                left >>= 7;
            }
            self.out.put_u8(left as u8);
        } else {
            let len = len.map_or(-1, |len| len as i64);
            self.out.put_slice(&len.to_be_bytes()[8 - bytes..]);
        }
    }

    fn topic_id(&mut self, role: Role) -> [u8; 16] {
        let choice = self.choices.byte();
        if role != Role::TopicId || choice >= WILD {
            return [choice; 16];
        }
        self.known.topic_id(usize::from(choice))
    }

    fn number(&mut self, role: Role, len: usize) -> i64 {
        let choice = self.choices.byte();
        if choice >= WILD {
            return match choice % 6 {
                0 => -1,
                1 => i64::MAX,
                2 => i64::MAX >> (64 - 8 * len),
                3 => i64::MIN >> (64 - 8 * len),
                _ => self.choices.number(len),
            };
        }
        let at = usize::from(choice);
        let one_of = |numbers: &[i64]| numbers[at % numbers.len()];
        match role {
            Role::Partition => one_of(&[0, 0, 0, 1, 1, 2, 7]),
            Role::Offset => one_of(&[0, 1, 2, 3, 10, -1, -2, -3, -4, -5, -6]),
            Role::LeaderEpoch => one_of(&[-1, -1, -1, 0, 1, 2]),
            Role::Generation => self.known.generation(at),
            Role::ProducerId => self.known.producer(at).0,
            Role::ProducerEpoch => i64::from(self.known.producer(at).1),
            Role::Acks => one_of(&[-1, -1, 1, 0]),
            Role::Wait => one_of(&[6_000, 0, 30_000, 100, 1]),
            Role::Size => one_of(&[1 << 20, 100, 0, 1]),
            Role::Broker | Role::Count => one_of(&[1, 2, 1, 2, 3, -1, 0, 5]),
            Role::Replication => one_of(&[-1, 1, 2, 3]),
            Role::ResourceType => one_of(&[2, 2, 4, 32, 8, 16]),
            Role::Flag => one_of(&[0, 0, 1, 2, 3]),
            Role::Session => i64::from(self.known.session(at)),
            Role::SessionEpoch => i64::from(self.known.session_epoch(at)),
            Role::ShareEpoch => i64::from(self.known.share_epoch(at)),
            Role::AcquiredFirst => self.known.acquired_first(at),
            Role::AcquiredLast => self.known.acquired_last(at),
            Role::Word => one_of(&[1, 2, 3, 0, 4, 5]),
            Role::Absent => -1,
            Role::Zero => 0,
            _ => one_of(&[0, 1, 2, 3, 4, 1000, -1]),
        }
    }

    fn text(&mut self, role: Role) -> Option<Vec<u8>> {
        let choice = self.choices.byte();
        if choice >= WILD {
            return match choice % 4 {
                0 => None,
                1 => Some(vec![b'x'; 300 + self.choices.below(256) * 120]),
                _ => {
                    let len = self.choices.below(24);
                    Some(self.choices.raw(len).to_vec())
                }
            };
        }
        let at = usize::from(choice);
        let one_of = |texts: &[&str]| texts[at % texts.len()].to_owned();
        let or_none = |text: &str| (at % 3 != 0).then(|| text.to_owned());
        let text = match role {
            Role::Topic => one_of(TOPICS),
            Role::Group => one_of(GROUPS),
            Role::ShareGroup => one_of(SHARE_GROUPS),
            Role::ShareMember => self.known.share_member(at),
            Role::Coordinated => one_of(&["group", "txn", "other"]),
            Role::Transaction if self.roles.get(1) == Some(&Role::Acks) => {
                // Batches belong to a transaction, or not.
                return or_none("txn").map(String::into_bytes);
            }
            Role::Transaction => one_of(TRANSACTIONS),
            Role::Member => self.known.member(at),
            Role::Instance => return or_none("instance").map(String::into_bytes),
            Role::ProtocolType => one_of(&["consumer", "consumer", "connect", ""]),
            Role::Protocol => one_of(&["range", "roundrobin", "cooperative-sticky"]),
            Role::Assignor => match at % 4 {
                0 => return None,
                1 => "range".to_owned(),
                _ => "uniform".to_owned(),
            },
            Role::Pattern if at.is_multiple_of(3) => return None,
            Role::Pattern => one_of(PATTERNS),
            Role::Resource => one_of(&["rides", "fares", "group", "1", "2", "", "metrics", "share"]),
            Role::Config => self.config(),
            Role::Value => one_of(VALUES),
            _ => one_of(TEXTS),
        };
        Some(text.into_bytes())
    }

    fn config(&mut self) -> String {
        let names = self.known.configs();
        let at = self.choices.number(2) as usize % (names.len() + GROUP_CONFIGS.len());
        names
            .get(at)
            .copied()
            .unwrap_or_else(|| GROUP_CONFIGS[at - names.len()])
            .to_owned()
    }

    fn bytes(&mut self, role: Role) -> Option<Bytes> {
        let choice = self.choices.byte();
        if choice >= WILD {
            let len = self.choices.number(1) as usize;
            return (!choice.is_multiple_of(4)).then(|| Bytes::copy_from_slice(self.choices.raw(len)));
        }
        match role {
            Role::Batch => Some(self.batch(usize::from(choice))),
            Role::Consumer => Some(Self::consumer(choice)),
            _ => Some(Bytes::copy_from_slice(self.choices.raw(4))),
        }
    }

    /// Records as a producer sends them: its own next ones, others, and some with a defect.
    fn batch(&mut self, choice: usize) -> Bytes {
        let (producer_id, producer_epoch) = if choice.is_multiple_of(3) {
            (-1, -1)
        } else {
            self.known.producer(choice / 6)
        };
        let how = self.choices.byte();
        let count = 1 + (how & 3);
        let sequence = self.known.sequence(producer_id, (how >> 2) & 3);
        let records: Vec<NewRecord> = (0..=count)
            .map(|number| NewRecord {
                timestamp_ms: self.known.now_ms + i64::from(number),
                key: (how & 0x10 == 0).then(|| Bytes::from(vec![b'k', number & 1])),
                value: (how & 0x20 == 0).then(|| Bytes::from(vec![b'v'; 1 << (how >> 6)])),
            })
            .collect();
        let options = BatchOptions {
            codec: Codec::ALL[choice % Codec::ALL.len()],
            producer_id,
            producer_epoch,
            base_sequence: if producer_id < 0 { -1 } else { sequence },
            transactional: producer_id >= 0 && choice % 3 == 1,
            ..BatchOptions::default()
        };
        let Ok(batch) = build_batch(&records, options) else {
            return Bytes::new();
        };
        let mut bytes = BytesMut::from(&batch.bytes()[..]);
        match self.choices.byte() {
            // A bit is turned, and the checksum is right again.
            240..=251 => {
                let at = 12 + self.choices.below(bytes.len() - 12);
                bytes[at] ^= self.choices.byte();
                let sum = crc32c::crc32c(&bytes[21..]);
                bytes[17..21].copy_from_slice(&sum.to_be_bytes());
            }
            252.. => bytes.truncate(self.choices.below(bytes.len())),
            _ => {}
        }
        bytes.freeze()
    }

    /// A subscription of version 0 to 3, or an assignment: both begin with topics.
    fn consumer(choice: u8) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_i16(i16::from(choice % 5));
        let topics = 1 + i32::from(choice / 5 % 2);
        bytes.put_i32(topics);
        for topic in TOPICS.iter().take(topics as usize) {
            bytes.put_i16(topic.len() as i16);
            bytes.put_slice(topic.as_bytes());
            if choice & 1 == 1 {
                bytes.put_i32(1);
                bytes.put_i32(i32::from(choice >> 6));
            }
        }
        bytes.put_i32(-1);
        bytes.put_i32(0);
        bytes.put_i32(-1);
        bytes.put_i16(-1);
        bytes.freeze()
    }
}
