//! Records of Kafka's own topics as JSON: `__consumer_offsets`, `__transaction_state` and `__share_group_state`.
//!
//! One table of fields for each kind of record, with the versions and tags of Kafka's message definitions (4.3); the
//! JSON has their names and their order. Bytes are base64, ids Kafka's own base64.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

/// What a field holds.
enum Kind {
    I8,
    I16,
    I32,
    I64,
    Text,
    Bytes,
    Uuid,
    List(&'static Kind),
    Of(&'static [Field]),
    /// A structure with a byte before it that says whether it is there.
    Maybe(&'static [Field]),
}

/// What is told of a tagged field that is not there.
enum Absent {
    Null,
    Nothing,
}

struct Field {
    name: &'static str,
    kind: Kind,
    since: i16,
    until: i16,
    tag: Option<(u32, Absent)>,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    since(0, name, kind)
}

const fn since(since: i16, name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        since,
        until: i16::MAX,
        tag: None,
    }
}

const fn tagged(since: i16, tag: u32, name: &'static str, kind: Kind, absent: Absent) -> Field {
    Field {
        name,
        kind,
        since,
        until: i16::MAX,
        tag: Some((tag, absent)),
    }
}

/// A kind of record: its number in the key's first bytes, and its fields.
struct Record {
    number: i16,
    key: &'static [Field],
    value: &'static [Field],
    /// The newest version of the value, and the first one with compact lengths and tags.
    newest: i16,
    flexible: i16,
}

static OFFSET_KEY: [Field; 3] = [
    field("group", Kind::Text),
    field("topic", Kind::Text),
    field("partition", Kind::I32),
];
static OFFSET: [Field; 6] = [
    field("offset", Kind::I64),
    since(3, "leaderEpoch", Kind::I32),
    field("metadata", Kind::Text),
    field("commitTimestamp", Kind::I64),
    Field {
        name: "expireTimestamp",
        kind: Kind::I64,
        since: 1,
        until: 1,
        tag: None,
    },
    tagged(4, 0, "topicId", Kind::Uuid, Absent::Nothing),
];
static CLASSIC_KEY: [Field; 1] = [field("group", Kind::Text)];
static CLASSIC_MEMBER: [Field; 8] = [
    field("memberId", Kind::Text),
    since(3, "groupInstanceId", Kind::Text),
    field("clientId", Kind::Text),
    field("clientHost", Kind::Text),
    since(1, "rebalanceTimeout", Kind::I32),
    field("sessionTimeout", Kind::I32),
    field("subscription", Kind::Bytes),
    field("assignment", Kind::Bytes),
];
static CLASSIC: [Field; 6] = [
    field("protocolType", Kind::Text),
    field("generation", Kind::I32),
    field("protocol", Kind::Text),
    field("leader", Kind::Text),
    since(2, "currentStateTimestamp", Kind::I64),
    field("members", Kind::List(&Kind::Of(&CLASSIC_MEMBER))),
];
static GROUP_KEY: [Field; 1] = [field("groupId", Kind::Text)];
static MEMBER_KEY: [Field; 2] = [field("groupId", Kind::Text), field("memberId", Kind::Text)];
static GROUP_EPOCH: [Field; 2] = [
    field("epoch", Kind::I32),
    tagged(0, 0, "metadataHash", Kind::I64, Absent::Nothing),
];
static TOPIC_RACKS: [Field; 2] = [
    field("partition", Kind::I32),
    field("racks", Kind::List(&Kind::Text)),
];
static TOPIC_METADATA: [Field; 4] = [
    field("topicId", Kind::Uuid),
    field("topicName", Kind::Text),
    field("numPartitions", Kind::I32),
    field("partitionMetadata", Kind::List(&Kind::Of(&TOPIC_RACKS))),
];
static GROUP_TOPICS: [Field; 1] = [field("topics", Kind::List(&Kind::Of(&TOPIC_METADATA)))];
static CLASSIC_PROTOCOL: [Field; 2] = [field("name", Kind::Text), field("metadata", Kind::Bytes)];
static CLASSIC_METADATA: [Field; 2] = [
    field("sessionTimeoutMs", Kind::I32),
    field("supportedProtocols", Kind::List(&Kind::Of(&CLASSIC_PROTOCOL))),
];
static MEMBER: [Field; 9] = [
    field("instanceId", Kind::Text),
    field("rackId", Kind::Text),
    field("clientId", Kind::Text),
    field("clientHost", Kind::Text),
    field("subscribedTopicNames", Kind::List(&Kind::Text)),
    field("subscribedTopicRegex", Kind::Text),
    field("rebalanceTimeoutMs", Kind::I32),
    field("serverAssignor", Kind::Text),
    tagged(
        0,
        0,
        "classicMemberMetadata",
        Kind::Maybe(&CLASSIC_METADATA),
        Absent::Null,
    ),
];
static TARGET_EPOCH: [Field; 2] = [
    field("assignmentEpoch", Kind::I32),
    tagged(0, 0, "assignmentTimestamp", Kind::I64, Absent::Nothing),
];
static TOPIC_PARTITIONS: [Field; 2] = [
    field("topicId", Kind::Uuid),
    field("partitions", Kind::List(&Kind::I32)),
];
static TARGET: [Field; 1] = [field("topicPartitions", Kind::List(&Kind::Of(&TOPIC_PARTITIONS)))];
static ASSIGNED: [Field; 3] = [
    field("topicId", Kind::Uuid),
    field("partitions", Kind::List(&Kind::I32)),
    tagged(0, 0, "assignmentEpochs", Kind::List(&Kind::I32), Absent::Nothing),
];
static CURRENT: [Field; 5] = [
    field("memberEpoch", Kind::I32),
    field("previousMemberEpoch", Kind::I32),
    field("state", Kind::I8),
    field("assignedPartitions", Kind::List(&Kind::Of(&ASSIGNED))),
    field("partitionsPendingRevocation", Kind::List(&Kind::Of(&ASSIGNED))),
];
static REGEX_KEY: [Field; 2] = [
    field("groupId", Kind::Text),
    field("regularExpression", Kind::Text),
];
static REGEX: [Field; 3] = [
    field("topics", Kind::List(&Kind::Text)),
    field("version", Kind::I64),
    field("timestamp", Kind::I64),
];
static SUBSCRIBED: [Field; 2] = [
    field("topic", Kind::Text),
    field("partitions", Kind::List(&Kind::I32)),
];
static SUBSCRIPTION: [Field; 5] = [
    field("topics", Kind::List(&Kind::Text)),
    field("userData", Kind::Bytes),
    since(1, "ownedPartitions", Kind::List(&Kind::Of(&SUBSCRIBED))),
    since(2, "generationId", Kind::I32),
    since(3, "rackId", Kind::Text),
];
static ASSIGNMENT: [Field; 2] = [
    field("assignedPartitions", Kind::List(&Kind::Of(&SUBSCRIBED))),
    field("userData", Kind::Bytes),
];

/// The records of `__consumer_offsets`.
static GROUPS: [Record; 10] = [
    record(0, &OFFSET_KEY, &OFFSET, 4, 4),
    record(1, &OFFSET_KEY, &OFFSET, 4, 4),
    record(2, &CLASSIC_KEY, &CLASSIC, 4, 4),
    record(3, &GROUP_KEY, &GROUP_EPOCH, 0, 0),
    record(4, &GROUP_KEY, &GROUP_TOPICS, 0, 0),
    record(5, &MEMBER_KEY, &MEMBER, 0, 0),
    record(6, &GROUP_KEY, &TARGET_EPOCH, 0, 0),
    record(7, &MEMBER_KEY, &TARGET, 0, 0),
    record(8, &MEMBER_KEY, &CURRENT, 0, 0),
    record(16, &REGEX_KEY, &REGEX, 0, 0),
];

static TXN_KEY: [Field; 1] = [field("transactionalId", Kind::Text)];
static TXN_PARTITIONS: [Field; 2] = [
    field("topic", Kind::Text),
    field("partitionIds", Kind::List(&Kind::I32)),
];
static TXN: [Field; 11] = [
    field("producerId", Kind::I64),
    tagged(1, 0, "previousProducerId", Kind::I64, Absent::Nothing),
    tagged(1, 1, "nextProducerId", Kind::I64, Absent::Nothing),
    field("producerEpoch", Kind::I16),
    tagged(1, 3, "nextProducerEpoch", Kind::I16, Absent::Nothing),
    field("transactionTimeoutMs", Kind::I32),
    field("transactionStatus", Kind::I8),
    field("transactionPartitions", Kind::List(&Kind::Of(&TXN_PARTITIONS))),
    field("transactionLastUpdateTimestampMs", Kind::I64),
    field("transactionStartTimestampMs", Kind::I64),
    tagged(1, 2, "clientTransactionVersion", Kind::I16, Absent::Nothing),
];

/// The records of `__transaction_state`.
static TRANSACTIONS: [Record; 1] = [record(0, &TXN_KEY, &TXN, 1, 1)];

static SHARE_KEY: [Field; 3] = [
    field("groupId", Kind::Text),
    field("topicId", Kind::Uuid),
    field("partition", Kind::I32),
];
static SHARE_BATCH: [Field; 4] = [
    field("firstOffset", Kind::I64),
    field("lastOffset", Kind::I64),
    field("deliveryState", Kind::I8),
    field("deliveryCount", Kind::I16),
];
static SHARE_SNAPSHOT: [Field; 8] = [
    field("snapshotEpoch", Kind::I32),
    field("stateEpoch", Kind::I32),
    field("leaderEpoch", Kind::I32),
    field("startOffset", Kind::I64),
    tagged(0, 0, "deliveryCompleteCount", Kind::I32, Absent::Nothing),
    field("createTimestamp", Kind::I64),
    field("writeTimestamp", Kind::I64),
    field("stateBatches", Kind::List(&Kind::Of(&SHARE_BATCH))),
];
static SHARE_UPDATE: [Field; 5] = [
    field("snapshotEpoch", Kind::I32),
    field("leaderEpoch", Kind::I32),
    field("startOffset", Kind::I64),
    tagged(0, 0, "deliveryCompleteCount", Kind::I32, Absent::Nothing),
    field("stateBatches", Kind::List(&Kind::Of(&SHARE_BATCH))),
];

/// The records of `__share_group_state`.
static SHARES: [Record; 2] = [
    record(0, &SHARE_KEY, &SHARE_SNAPSHOT, 0, 0),
    record(1, &SHARE_KEY, &SHARE_UPDATE, 0, 0),
];

const fn record(
    number: i16,
    key: &'static [Field],
    value: &'static [Field],
    newest: i16,
    flexible: i16,
) -> Record {
    Record {
        number,
        key,
        value,
        newest,
        flexible,
    }
}

/// One of Kafka's own topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// `__consumer_offsets`.
    Groups,
    /// `__transaction_state`.
    Transactions,
    /// `__share_group_state`.
    Shares,
}

/// Which records a formatter of the console consumer prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Formatter {
    /// Committed offsets.
    Offsets,
    /// Groups of the classic protocol, with their members.
    ClassicGroups,
    /// Transactional ids.
    Transactions,
    /// States of the partitions that share groups read.
    Shares,
    /// None.
    Nothing,
}

impl Formatter {
    /// The formatter of this class.
    pub(super) fn named(class: &str) -> Option<Self> {
        match class.rsplit('.').next().unwrap_or(class) {
            "OffsetsMessageFormatter" => Some(Self::Offsets),
            "GroupMetadataMessageFormatter" => Some(Self::ClassicGroups),
            "TransactionLogMessageFormatter" => Some(Self::Transactions),
            "ShareGroupStateMessageFormatter" => Some(Self::Shares),
            "NoOpMessageFormatter" => Some(Self::Nothing),
            _ => None,
        }
    }

    /// The JSON of one record, without the end of a line, as Kafka's formatters print it; `None`: it is of another kind.
    pub(super) fn json(self, key: Option<&[u8]>, value: Option<&[u8]>) -> Option<Value> {
        let key = key?;
        let number = version_of(key).ok()?;
        let (log, wanted) = match self {
            Self::Offsets => (Log::Groups, 0..=1),
            Self::ClassicGroups => (Log::Groups, 2..=2),
            Self::Transactions => (Log::Transactions, 0..=0),
            Self::Shares => (Log::Shares, 0..=1),
            Self::Nothing => return None,
        };
        if !wanted.contains(&number) {
            return None;
        }
        let record = log.record(number)?;
        let (_, data) = record.key(key).ok()?;
        let value = match value.map(|bytes| record.value(bytes)) {
            None => Value::Null,
            Some(Ok((version, data))) => json!({ "version": version, "data": data }),
            Some(Err(_)) => json!("unknown"),
        };
        Some(json!({ "key": { "type": number, "data": data }, "value": value }))
    }
}

impl Log {
    fn record(self, number: i16) -> Option<&'static Record> {
        let table: &'static [Record] = match self {
            Self::Groups => &GROUPS,
            Self::Transactions => &TRANSACTIONS,
            Self::Shares => &SHARES,
        };
        table.iter().find(|record| record.number == number)
    }

    /// Key and value as `kafka-dump-log` prints them.
    pub(super) fn dumped(
        self,
        offset: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> (String, Option<String>) {
        let Some(key) = key else {
            let text = format!("Failed to decode message at offset {offset} (message had a missing key)");
            return (text, None);
        };
        let damaged = |torn: Torn| (format!("Error at offset {offset}, skipping. {}", torn.0), None);
        let number = match version_of(key) {
            Ok(number) => number,
            Err(torn) => return damaged(torn),
        };
        let Some(record) = self.record(number) else {
            let text = format!("Unknown record type {number} at offset {offset}, skipping.");
            return (text, None);
        };
        let data = match record.key(key) {
            Ok((_, data)) => data,
            Err(torn) => return damaged(torn),
        };
        let shown = json!({ "type": number.to_string(), "data": data }).to_string();
        let Some(value) = value else {
            return (shown, Some("<DELETE>".to_owned()));
        };
        match record.value(value) {
            Ok((version, mut data)) => {
                embedded(&mut data);
                let value = json!({ "version": version.to_string(), "data": data });
                (shown, Some(value.to_string()))
            }
            Err(torn) => damaged(torn),
        }
    }
}

/// Shows what members of a classic consumer group said to each other, in place of its bytes.
fn embedded(data: &mut Value) {
    if data["protocolType"] != "consumer" {
        return;
    }
    let members = data.get_mut("members").and_then(Value::as_array_mut);
    for member in members.into_iter().flatten() {
        for (name, fields) in [
            ("subscription", &SUBSCRIPTION[..]),
            ("assignment", &ASSIGNMENT[..]),
        ] {
            let Some(bytes) = member[name]
                .as_str()
                .and_then(|text| BASE64_STANDARD.decode(text).ok())
            else {
                continue;
            };
            if let Ok((_, said)) = read_versioned(&bytes, fields, i16::MAX, i16::MAX) {
                member[name] = said;
            }
        }
    }
}

impl Record {
    fn key(&self, bytes: &[u8]) -> Result<(i16, Value), Torn> {
        read_versioned(bytes, self.key, i16::MAX, i16::MAX)
    }

    fn value(&self, bytes: &[u8]) -> Result<(i16, Value), Torn> {
        read_versioned(bytes, self.value, self.newest, self.flexible)
    }
}

/// Why a record can't be read.
struct Torn(String);

fn torn() -> Torn {
    Torn("the record ends early".into())
}

fn version_of(bytes: &[u8]) -> Result<i16, Torn> {
    Reader {
        rest: bytes,
        version: 0,
        flexible: false,
    }
    .number(2)
    .map(|version| version as i16)
}

fn read_versioned(bytes: &[u8], fields: &[Field], newest: i16, flexible: i16) -> Result<(i16, Value), Torn> {
    let version = version_of(bytes)?;
    if !(0..=newest).contains(&version) {
        return Err(Torn(format!("version {version} is not known")));
    }
    let mut reader = Reader {
        rest: &bytes[2..],
        version,
        flexible: version >= flexible,
    };
    Ok((version, reader.structure(fields)?))
}

struct Reader<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Torn> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(torn)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A signed number of so many bytes.
    fn number(&mut self, bytes: usize) -> Result<i64, Torn> {
        let taken = self.take(bytes)?;
        let unsigned = taken.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let spare = 64 - 8 * bytes as u32;
        Ok((unsigned << spare) as i64 >> spare)
    }

    fn varint(&mut self) -> Result<u32, Torn> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.take(1)?[0];
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(torn())
    }

    /// The length of what follows; `None` for null. `plain` is how many bytes it takes where it is not compact.
    fn length(&mut self, plain: usize) -> Result<Option<usize>, Torn> {
        if self.flexible {
            return Ok(self.varint()?.checked_sub(1).map(|length| length as usize));
        }
        Ok(usize::try_from(self.number(plain)?).ok())
    }

    fn value(&mut self, kind: &Kind) -> Result<Value, Torn> {
        Ok(match kind {
            Kind::I8 => self.number(1)?.into(),
            Kind::I16 => self.number(2)?.into(),
            Kind::I32 => self.number(4)?.into(),
            Kind::I64 => self.number(8)?.into(),
            Kind::Text => match self.length(2)? {
                None => Value::Null,
                Some(length) => String::from_utf8_lossy(self.take(length)?).into(),
            },
            Kind::Bytes => match self.length(4)? {
                None => Value::Null,
                Some(length) => BASE64_STANDARD.encode(self.take(length)?).into(),
            },
            Kind::Uuid => BASE64_URL_SAFE_NO_PAD.encode(self.take(16)?).into(),
            Kind::List(of) => match self.length(4)? {
                None => Value::Null,
                // An element has a byte at least: the claim is bounded by what is there.
                Some(count) if count > self.rest.len() => return Err(torn()),
                Some(count) => (0..count)
                    .map(|_| self.value(of))
                    .collect::<Result<Vec<_>, _>>()?
                    .into(),
            },
            Kind::Of(fields) => self.structure(fields)?,
            Kind::Maybe(fields) => {
                if self.number(1)? < 0 {
                    Value::Null
                } else {
                    self.structure(fields)?
                }
            }
        })
    }

    fn structure(&mut self, fields: &[Field]) -> Result<Value, Torn> {
        let mut known = Map::new();
        for field in fields {
            if self.version < field.since || self.version > field.until {
                continue;
            }
            let value = match &field.tag {
                None => self.value(&field.kind)?,
                // Holds the place until the tags are read, at the end.
                Some(_) => Value::Null,
            };
            known.insert(field.name.to_owned(), value);
        }
        let mut there = Vec::new();
        if self.flexible {
            for _ in 0..self.varint()? {
                let tag = self.varint()?;
                let length = self.varint()? as usize;
                there.push((tag, self.take(length)?));
            }
        }
        for field in fields {
            let Some((tag, absent)) = &field.tag else { continue };
            match (there.iter().find(|(found, _)| found == tag), absent) {
                (Some((_, bytes)), _) => {
                    let mut inner = Reader { rest: bytes, ..*self };
                    known.insert(field.name.to_owned(), inner.value(&field.kind)?);
                }
                (None, Absent::Null) => {}
                (None, Absent::Nothing) => drop(known.shift_remove(field.name)),
            }
        }
        Ok(known.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"\0\x01\0\x02ga\0\x04perf\0\0\0\0";

    fn offset(tags: &[u8]) -> Vec<u8> {
        let head = [0, 4, 0, 0, 0, 0, 0, 0, 0, 3, 255, 255, 255, 255, 1];
        [&head[..], &9i64.to_be_bytes(), tags].concat()
    }

    #[test]
    fn a_committed_offset_is_told_as_kafkas_tools_tell_it() {
        let tag = [&[1, 0, 16][..], &[0; 15], &[1]].concat();
        let value = offset(&tag);
        let (key, told) = Log::Groups.dumped(5, Some(KEY), Some(&value));
        assert_eq!(
            key,
            r#"{"type":"1","data":{"group":"ga","topic":"perf","partition":0}}"#
        );
        assert_eq!(
            told.as_deref(),
            Some(
                r#"{"version":"4","data":{"offset":3,"leaderEpoch":-1,"metadata":"","commitTimestamp":9,"topicId":"AAAAAAAAAAAAAAAAAAAAAQ"}}"#
            )
        );
        let formatted = Formatter::Offsets.json(Some(KEY), Some(&offset(&[0]))).unwrap();
        assert_eq!(
            formatted.to_string(),
            r#"{"key":{"type":1,"data":{"group":"ga","topic":"perf","partition":0}},"value":{"version":4,"data":{"offset":3,"leaderEpoch":-1,"metadata":"","commitTimestamp":9}}}"#
        );
        assert_eq!(
            Formatter::Offsets.json(Some(KEY), None).unwrap()["value"],
            Value::Null
        );
        assert!(Formatter::ClassicGroups.json(Some(KEY), None).is_none());
        assert!(Formatter::Nothing.json(Some(KEY), None).is_none());
    }

    #[test]
    fn the_state_of_a_share_partition_is_told_as_kafkas_tools_tell_it() {
        let key = [b"\0\x01\0\x01g".as_slice(), &[0; 15], &[1], &[0, 0, 0, 2]].concat();
        let batch = [&5i64.to_be_bytes()[..], &6i64.to_be_bytes(), &[2, 0, 1, 0]];
        let head = [&[0, 0][..], &[0, 0, 0, 1], &[0, 0, 0, 7], &4i64.to_be_bytes()];
        let counted = [1, 0, 4, 0, 0, 0, 2];
        let value = [head.concat(), vec![2], batch.concat(), counted.to_vec()].concat();
        let (key_told, value_told) = Log::Shares.dumped(5, Some(&key), Some(&value));
        assert_eq!(
            key_told,
            r#"{"type":"1","data":{"groupId":"g","topicId":"AAAAAAAAAAAAAAAAAAAAAQ","partition":2}}"#
        );
        assert_eq!(
            value_told.as_deref(),
            Some(
                r#"{"version":"0","data":{"snapshotEpoch":1,"leaderEpoch":7,"startOffset":4,"deliveryCompleteCount":2,"stateBatches":[{"firstOffset":5,"lastOffset":6,"deliveryState":2,"deliveryCount":1}]}}"#
            )
        );
        let formatted = Formatter::Shares.json(Some(&key), Some(&value)).unwrap();
        assert_eq!(formatted["key"]["type"], 1);
        assert_eq!(formatted["value"]["data"]["leaderEpoch"], 7);
    }

    #[test]
    fn tombstones_strangers_and_torn_records_are_told() {
        let (_, value) = Log::Groups.dumped(5, Some(KEY), None);
        assert_eq!(value.as_deref(), Some("<DELETE>"));
        let (key, _) = Log::Groups.dumped(5, Some(&[0, 11, 0, 0]), None);
        assert_eq!(key, "Unknown record type 11 at offset 5, skipping.");
        let (key, value) = Log::Groups.dumped(5, Some(&KEY[..9]), None);
        assert!(key.starts_with("Error at offset 5"), "{key}");
        assert_eq!(value, None);
        let huge = [0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 127, 255, 255, 255];
        let (key, _) = Log::Groups.dumped(5, Some(b"\0\x02\0\x01g"), Some(&huge));
        assert!(key.starts_with("Error at offset 5"), "{key}");
    }
}
