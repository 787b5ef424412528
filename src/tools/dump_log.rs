//! `kafka-dump-log`: what is in the files of a log, batch by batch.

mod files;
mod indexes;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use streamlings_broker::log::{
    BatchHeader, Codec, DumpedRecord, EndTxnMarker, HEADER_BYTES, MAGIC, TimestampType, check_crc,
    dumped_records,
};

use super::coordinator::Log;
use super::flags::{Args, BOOTSTRAP, COMMAND_CONFIG, Flag, HELP, Syntax, Takes, VERSION, flag};
use super::io::{Failure, Ran};
use super::{Framed, Tool, ToolIo};
use files::Finder;

pub(super) static TOOL: Tool = Tool {
    name: "kafka-dump-log",
    about: "Print what is in the files of a log: batches, records, indexes, producers. Paths begin in the log folder of the lab's brokers.",
    examples: &[
        "--files rides-0/00000000000000000000.log --print-data-log",
        "--files rides-0/00000000000000000000.index,rides-0/00000000000000000000.timeindex",
        "--files __consumer_offsets-12/00000000000000000000.log --offsets-decoder",
    ],
    syntax: Syntax::Jopt,
    flags: &FLAGS,
    run,
    frame: Framed::plain,
};

static FLAGS: [Flag; 19] = [
    flag(
        "files",
        Takes::Text("a.log,b.index"),
        "The files: .log, .index, .timeindex, .txnindex, .snapshot.",
    ),
    flag("print-data-log", Takes::Nothing, "Keys and values too."),
    flag(
        "deep-iteration",
        Takes::Nothing,
        "Records too, without keys and values.",
    ),
    flag(
        "skip-record-metadata",
        Takes::Nothing,
        "Of records only keys and values.",
    ),
    flag(
        "offsets-decoder",
        Takes::Nothing,
        "The log is one of __consumer_offsets.",
    ),
    flag(
        "transaction-log-decoder",
        Takes::Nothing,
        "The log is one of __transaction_state.",
    ),
    flag(
        "share-group-state-decoder",
        Takes::Nothing,
        "The log is one of __share_group_state.",
    ),
    flag(
        "value-decoder-class",
        Takes::Maybe(DECODERS),
        "How values are read: StringDecoder, LongDecoder, IntegerDecoder.",
    ),
    flag(
        "key-decoder-class",
        Takes::Maybe(DECODERS),
        "How keys are read: StringDecoder, LongDecoder, IntegerDecoder.",
    ),
    flag(
        "max-bytes",
        Takes::Number("bytes"),
        "Only the batches in the first so many bytes of a log.",
    ),
    flag(
        "max-message-size",
        Takes::Number("bytes"),
        "Accepted and without effect: batches are read one at a time.",
    ),
    flag(
        "verify-index-only",
        Takes::Nothing,
        "Only compare an index with its log.",
    ),
    flag(
        "index-sanity-check",
        Takes::Nothing,
        "Only check that an index is one.",
    ),
    flag(
        "cluster-metadata-decoder",
        Takes::Nothing,
        "Not known here: the lab's cluster has no metadata log.",
    ),
    flag(
        "remote-log-metadata-decoder",
        Takes::Nothing,
        "Not known here: the lab has no tiered storage.",
    ),
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
];

const DECODERS: &[&str] = &["StringDecoder", "LongDecoder", "IntegerDecoder"];

/// No batch holds more than this when it is decompressed: what the lab's own broker takes.
const MOST_BYTES: u64 = 256 * 1024 * 1024;

fn run(args: &Args, io: &mut ToolIo<'_>) -> Ran {
    args.require(&["files"])?;
    for (flag, why) in [
        (
            "cluster-metadata-decoder",
            "the lab's cluster has no metadata log",
        ),
        ("remote-log-metadata-decoder", "the lab has no tiered storage"),
    ] {
        if args.has(flag) {
            return Err(Failure::Usage(format!("--{flag} is not known here: {why}")));
        }
    }
    let options = Options::new(args)?;
    let mut finder = Finder::new(args, io);
    let mut findings = Findings::default();
    let names: Vec<&str> = args
        .one("files")?
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    for name in names {
        writeln!(io.stdout, "Dumping {}", crate::ui::visible(name))?;
        let path = finder.find(name, io)?;
        dump(name, &path, &options, &mut findings, io)?;
    }
    findings.tell(io)
}

fn dump(name: &str, path: &Path, options: &Options, findings: &mut Findings, io: &mut ToolIo<'_>) -> Ran {
    match path.extension().and_then(|suffix| suffix.to_str()) {
        Some("log") => dump_log(name, path, options, findings, io),
        Some("index") => indexes::offset_index(name, path, options, findings, io),
        Some("timeindex") => indexes::time_index(name, path, options, findings, io),
        Some("txnindex") => indexes::txn_index(path, io),
        Some("snapshot") => indexes::snapshot(path, io),
        _ => {
            writeln!(io.stderr, "Ignoring unknown file {}", crate::ui::visible(name))?;
            Ok(())
        }
    }
}

/// What is wrong in the files, told after all of them.
#[derive(Default)]
struct Findings {
    text: String,
}

impl Findings {
    fn add(&mut self, heading: &str, lines: &[String]) {
        if !lines.is_empty() {
            self.text.push_str(&format!("{heading}\n{}\n", lines.join("\n")));
        }
    }

    fn tell(&self, io: &mut ToolIo<'_>) -> Ran {
        io.stdout.flush()?;
        io.stderr.write_all(crate::ui::visible(&self.text).as_bytes())?;
        Ok(())
    }
}

/// How keys and values become text.
#[derive(Clone, Copy)]
enum Decoder {
    Text,
    Number(usize),
}

impl Decoder {
    fn named(class: Option<&str>) -> Result<Self, Failure> {
        match class.map(|class| class.rsplit('.').next().unwrap_or(class)) {
            None | Some("StringDecoder") => Ok(Self::Text),
            Some("LongDecoder") => Ok(Self::Number(8)),
            Some("IntegerDecoder") => Ok(Self::Number(4)),
            Some(other) => Err(Failure::Usage(format!(
                "{other} is not known here: {} are",
                DECODERS.join(", ")
            ))),
        }
    }

    fn text(self, bytes: &[u8]) -> String {
        let number = match self {
            Self::Number(8) => bytes
                .try_into()
                .ok()
                .map(|bytes| i64::from_be_bytes(bytes).to_string()),
            Self::Number(_) => bytes
                .try_into()
                .ok()
                .map(|bytes| i32::from_be_bytes(bytes).to_string()),
            Self::Text => None,
        };
        number.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned())
    }
}

struct Options {
    contents: bool,
    deep: bool,
    skip_metadata: bool,
    verify_only: bool,
    sanity_only: bool,
    max_bytes: Option<u64>,
    log: Option<Log>,
    key: Decoder,
    value: Decoder,
}

impl Options {
    fn new(args: &Args) -> Result<Self, Failure> {
        let log = if args.has("offsets-decoder") {
            Some(Log::Groups)
        } else if args.has("transaction-log-decoder") {
            Some(Log::Transactions)
        } else if args.has("share-group-state-decoder") {
            Some(Log::Shares)
        } else {
            None
        };
        let contents =
            log.is_some() || args.count(&["print-data-log", "value-decoder-class", "key-decoder-class"]) > 0;
        Ok(Self {
            contents,
            deep: contents || args.has("deep-iteration"),
            skip_metadata: args.has("skip-record-metadata"),
            verify_only: args.has("verify-index-only"),
            sanity_only: args.has("index-sanity-check"),
            max_bytes: args.number("max-bytes")?,
            log,
            key: Decoder::named(args.one("key-decoder-class")?)?,
            value: Decoder::named(args.one("value-decoder-class")?)?,
        })
    }
}

/// The offset that a file is named after.
fn base_offset(path: &Path) -> Result<i64, Failure> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    stem.parse().map_err(|_| {
        Failure::Error(format!(
            "For input string: \"{stem}\": a log is named after its first offset"
        ))
    })
}

/// The batches of a log file, one at a time.
struct Batches {
    file: BufReader<File>,
    bytes: u64,
    position: u64,
}

impl Batches {
    fn open(path: &Path) -> Result<Self, Failure> {
        let unreadable = |error: std::io::Error| Failure::Error(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        Ok(Self {
            file: BufReader::with_capacity(128 * 1024, file),
            bytes,
            position: 0,
        })
    }

    /// The next batch and where it starts; `None` where no whole one follows.
    fn next(&mut self) -> std::io::Result<Option<(u64, BatchHeader, Bytes)>> {
        let left = self.bytes.saturating_sub(self.position);
        let mut head = [0; HEADER_BYTES];
        if left < HEADER_BYTES as u64 {
            return Ok(None);
        }
        self.file.read_exact(&mut head)?;
        let Ok(header) = BatchHeader::parse(&head) else {
            return Ok(None);
        };
        if header.size as u64 > left {
            return Ok(None);
        }
        let mut batch = vec![0; header.size];
        batch[..HEADER_BYTES].copy_from_slice(&head);
        self.file.read_exact(&mut batch[HEADER_BYTES..])?;
        let at = self.position;
        self.position += header.size as u64;
        Ok(Some((at, header, batch.into())))
    }
}

fn dump_log(name: &str, path: &Path, options: &Options, findings: &mut Findings, io: &mut ToolIo<'_>) -> Ran {
    writeln!(io.stdout, "Log starting offset: {}", base_offset(path)?)?;
    let mut batches = Batches::open(path)?;
    let mut last: Option<i64> = None;
    let mut jumps = Vec::new();
    let limit = options.max_bytes.unwrap_or(u64::MAX);
    while let Some((position, header, batch)) = batches.next()? {
        if batches.position > limit {
            break;
        }
        if io.cancel.is_cancelled() {
            return Err(Failure::Exit(130));
        }
        batch_line(position, &header, &batch, io)?;
        if !options.deep {
            continue;
        }
        let records = dumped_records(&batch, MOST_BYTES)
            .map_err(|error| Failure::Error(format!("{name}: batch at {position}: {error}")))?;
        for record in &records {
            let offset = record.record.offset;
            if let Some(before) = last.filter(|before| before + 1 != offset) {
                jumps.push(format!("  {before} is followed by {offset}"));
            }
            last = Some(offset);
            record_line(&header, record, options, io)?;
        }
    }
    let left = batches.bytes.saturating_sub(batches.position);
    if left > 0 && options.max_bytes.is_none() {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(io.stdout, "Found {left} invalid bytes at the end of {file}")?;
    }
    // Kafka's tool has the newest first.
    jumps.reverse();
    findings.add(&format!("Non-consecutive offsets in {}", path.display()), &jumps);
    Ok(())
}

fn time_word(kind: TimestampType) -> &'static str {
    match kind {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn batch_line(position: u64, header: &BatchHeader, batch: &Bytes, io: &mut ToolIo<'_>) -> Ran {
    let horizon = if header.has_delete_horizon() {
        format!("OptionalLong[{}]", header.base_timestamp)
    } else {
        "OptionalLong.empty".to_owned()
    };
    let codec = match header.codec() {
        Ok(Codec::None) => "none",
        Ok(codec) => codec.name(),
        Err(_) => "unknown",
    };
    writeln!(
        io.stdout,
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} \
         partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {horizon} position: {position} \
         {}: {} size: {} magic: {MAGIC} compresscodec: {codec} crc: {} isvalid: {}",
        header.base_offset,
        header.last_offset(),
        header.record_count,
        header.base_sequence,
        header.last_sequence(),
        header.producer_id,
        header.producer_epoch,
        header.leader_epoch,
        header.is_transactional(),
        header.is_control(),
        time_word(header.timestamp_type()),
        header.max_timestamp,
        header.size,
        header.crc,
        check_crc(batch).is_ok()
    )?;
    Ok(())
}

/// The size of a key or value, -1 for none.
fn size(bytes: Option<&Bytes>) -> i64 {
    bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX))
}

fn record_line(header: &BatchHeader, dumped: &DumpedRecord, options: &Options, io: &mut ToolIo<'_>) -> Ran {
    let record = &dumped.record;
    let (key, value) = (record.key.as_ref(), record.value.as_ref());
    let mut line = String::new();
    let mut before = "| ";
    if !options.skip_metadata {
        line = format!(
            "| offset: {} {}: {} keySize: {} valueSize: {} sequence: {} headerKeys: [{}]",
            record.offset,
            time_word(header.timestamp_type()),
            record.timestamp_ms,
            size(key),
            size(value),
            dumped.sequence,
            dumped.header_keys.join(",")
        );
        before = " ";
        if header.is_control() {
            line.push_str(&control(key, value));
        }
    }
    if options.contents && !header.is_control() {
        let (key, value) = match options.log {
            Some(log) => {
                let (key, value) = log.dumped(record.offset, key.map(|k| &k[..]), value.map(|v| &v[..]));
                (Some(key), value)
            }
            None => (
                key.map(|bytes| options.key.text(bytes)),
                value.map(|bytes| options.value.text(bytes)),
            ),
        };
        if let Some(key) = key {
            line.push_str(&format!("{before}key: {key}"));
            before = " ";
        }
        if let Some(value) = value {
            line.push_str(&format!("{before}payload: {value}"));
        }
    }
    if io.stdout_is_terminal {
        line = crate::ui::visible(&line).into_owned();
    }
    writeln!(io.stdout, "{line}")?;
    Ok(())
}

fn control(key: Option<&Bytes>, value: Option<&Bytes>) -> String {
    let (key, value) = (key.map_or(&[][..], |k| k), value.map_or(&[][..], |v| v));
    if let Some(marker) = EndTxnMarker::parse(key, value) {
        format!(
            " endTxnMarker: {} coordinatorEpoch: {}",
            if marker.commit { "COMMIT" } else { "ABORT" },
            marker.coordinator_epoch
        )
    } else {
        let kind = key.get(2..4).map_or(-1, |k| i16::from_be_bytes([k[0], k[1]]));
        format!(" controlType: UNKNOWN({kind})")
    }
}
