use kafka_protocol::ResponseError;
use proptest::prelude::*;

use super::super::batch::assemble;
use super::*;

fn rules() -> ProduceRules {
    LogConfig::default().produce_rules()
}

fn idempotent(sequence: i32) -> BatchOptions {
    BatchOptions {
        producer_id: 9,
        producer_epoch: 0,
        base_sequence: sequence,
        ..BatchOptions::default()
    }
}

fn rows(count: usize) -> Vec<NewRecord> {
    (0..count)
        .map(|i| record(&format!("value number {i}"), NOW + i as i64))
        .collect()
}

fn plain() -> Bytes {
    build_batch(&rows(5), BatchOptions::default())
        .unwrap()
        .bytes()
        .clone()
}

/// The batch with another header, its checksum right again.
fn with_header(batch: &Bytes, change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = BatchHeader::parse(batch).unwrap();
    change(&mut header);
    assemble(&mut header, &batch[HEADER_BYTES..])
}

fn refused(batch: Bytes, rules: &ProduceRules) -> (ResponseError, InvalidBatch) {
    let error = validate(batch, rules, NOW).unwrap_err();
    (error.code(), error)
}

#[test]
fn every_codec_passes_unchanged_and_reads_back() {
    for codec in Codec::ALL {
        let bytes = build_batch(
            &rows(50),
            BatchOptions {
                codec,
                ..idempotent(3)
            },
        )
        .unwrap()
        .bytes()
        .clone();
        let valid = validate(bytes.clone(), &rules(), NOW).unwrap();
        assert_eq!(valid.bytes(), &bytes, "{codec:?}");
        assert_eq!(valid.header().codec().unwrap(), codec);
        assert_eq!(valid.header().last_sequence(), 52);
        let values = batch_records(&bytes, 1 << 20).unwrap();
        assert_eq!(values.len(), 50);
        assert_eq!(values[49].value.as_deref(), Some(&b"value number 49"[..]));
        assert_eq!(values[49].timestamp_ms, NOW + 49);
    }
}

#[test]
fn the_topics_codec_replaces_the_producers() {
    for from in Codec::ALL {
        for to in Codec::ALL {
            let bytes = build_batch(
                &rows(50),
                BatchOptions {
                    codec: from,
                    ..idempotent(0)
                },
            )
            .unwrap();
            let rules = ProduceRules {
                compression: Some(to),
                ..rules()
            };
            let valid = validate(bytes.bytes().clone(), &rules, NOW).unwrap();
            assert_eq!(valid.header().codec().unwrap(), to, "{from:?} to {to:?}");
            check_crc(valid.bytes()).unwrap();
            assert_eq!(
                batch_records(valid.bytes(), 1 << 20).unwrap(),
                batch_records(bytes.bytes(), 1 << 20).unwrap()
            );
        }
    }
}

#[test]
fn damaged_and_old_batches_are_refused() {
    let batch = plain();
    let mut flipped = batch.to_vec();
    flipped[70] ^= 1;
    assert_eq!(refused(flipped.into(), &rules()).0, ResponseError::CorruptMessage);
    assert_eq!(
        refused(batch.slice(..80), &rules()).0,
        ResponseError::InvalidRecord
    );
    assert_eq!(refused(Bytes::new(), &rules()).0, ResponseError::InvalidRecord);
    let two = [&batch[..], &batch[..]].concat();
    assert_eq!(refused(two.into(), &rules()).0, ResponseError::InvalidRecord);
    let mut old = batch.to_vec();
    old[16] = 1;
    assert_eq!(refused(old.into(), &rules()).0, ResponseError::InvalidRecord);
    let unknown = with_header(&batch, |header| header.attributes |= 7);
    assert_eq!(refused(unknown, &rules()).0, ResponseError::UnknownServerError);
}

#[test]
fn headers_that_contradict_themselves_are_refused() {
    let batch = plain();
    let changes: [fn(&mut BatchHeader); 6] = [
        |header| header.record_count = 4,
        |header| header.record_count = 0,
        |header| header.last_offset_delta = 9,
        |header| (header.last_offset_delta, header.record_count) = (5, 6),
        |header| (header.last_offset_delta, header.record_count) = (3, 4),
        |header| header.producer_id = 1,
    ];
    for change in changes {
        assert_eq!(
            refused(with_header(&batch, change), &rules()).0,
            ResponseError::InvalidRecord
        );
    }
    let control = build_batch(
        &rows(1),
        BatchOptions {
            control: true,
            ..idempotent(0)
        },
    )
    .unwrap();
    assert_eq!(
        refused(control.bytes().clone(), &rules()).0,
        ResponseError::InvalidRecord
    );
    let coordinator = ProduceRules {
        origin: Origin::Coordinator,
        ..rules()
    };
    assert!(validate(control.bytes().clone(), &coordinator, NOW).is_ok());
}

#[test]
fn too_large_is_said_with_both_sizes() {
    let rules = ProduceRules {
        max_message_bytes: 100,
        ..rules()
    };
    let (code, error) = refused(plain(), &rules);
    assert_eq!(code, ResponseError::MessageTooLarge);
    assert!(
        error
            .to_string()
            .contains("maximum configured value of 100 bytes"),
        "{error}"
    );
}

#[test]
fn timestamps_out_of_range_name_their_records() {
    let rules = ProduceRules {
        before_max_ms: 10,
        after_max_ms: 2,
        ..rules()
    };
    for codec in Codec::ALL {
        let batch = build_batch(
            &rows(5),
            BatchOptions {
                codec,
                ..BatchOptions::default()
            },
        )
        .unwrap();
        let (code, error) = refused(batch.bytes().clone(), &rules);
        assert_eq!(code, ResponseError::InvalidTimestamp);
        assert_eq!(
            error
                .record_errors()
                .iter()
                .map(|record| record.index)
                .collect::<Vec<_>>(),
            [3, 4]
        );
    }
    let appended = ProduceRules {
        timestamp_type: TimestampType::LogAppendTime,
        ..rules
    };
    assert!(validate(plain(), &appended, NOW).is_ok());
    let theirs = with_header(&plain(), |header| header.attributes |= 8);
    assert_eq!(refused(theirs, &appended).0, ResponseError::InvalidTimestamp);
}

#[test]
fn compacted_topics_need_keys() {
    let mut rows = rows(3);
    rows[1].key = None;
    let rules = ProduceRules {
        compacted: true,
        ..rules()
    };
    for codec in Codec::ALL {
        let batch = build_batch(
            &rows,
            BatchOptions {
                codec,
                ..BatchOptions::default()
            },
        )
        .unwrap();
        let (code, error) = refused(batch.bytes().clone(), &rules);
        assert_eq!(code, ResponseError::InvalidRecord);
        assert_eq!(error.record_errors()[0].index, 1);
    }
}

#[test]
fn a_wrong_maximal_timestamp_is_corrected() {
    let wrong = with_header(&plain(), |header| header.max_timestamp = 5);
    let valid = validate(wrong, &rules(), NOW).unwrap();
    assert_eq!(valid.header().max_timestamp, NOW + 4);
    check_crc(valid.bytes()).unwrap();
}

#[test]
fn append_time_replaces_the_producers() {
    let config = LogConfig {
        timestamp_type: TimestampType::LogAppendTime,
        ..LogConfig::default()
    };
    let bench = Bench::new(config.clone());
    let mut log = bench.open();
    let batch = validate(plain(), &config.produce_rules(), NOW).unwrap();
    let Append::Written(appended) = log.append(&batch, 3, NOW + 1000).unwrap() else {
        panic!("a duplicate")
    };
    assert_eq!(appended.log_append_time_ms, Some(NOW + 1000));
    let bytes = log.read(0, 1000, 5, true).unwrap().read().unwrap();
    check_crc(&bytes).unwrap();
    assert_eq!(BatchHeader::parse(&bytes).unwrap().leader_epoch, 3);
    assert!(
        batch_records(&bytes, 1 << 20)
            .unwrap()
            .iter()
            .all(|record| record.timestamp_ms == NOW + 1000)
    );
}

#[test]
fn a_few_bytes_do_not_become_gigabytes() {
    let zeros = NewRecord {
        value: Some(vec![0; 4 << 20].into()),
        ..record("", NOW)
    };
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let bomb = build_batch(
            std::slice::from_ref(&zeros),
            BatchOptions {
                codec,
                ..BatchOptions::default()
            },
        )
        .unwrap();
        let rules = ProduceRules {
            max_decompressed_bytes: 1 << 20,
            ..rules()
        };
        let (code, _) = refused(bomb.bytes().clone(), &rules);
        assert_eq!(code, ResponseError::MessageTooLarge, "{codec:?}");
        assert!(batch_records(bomb.bytes(), 1 << 20).is_err());
    }
    // A snappy block that claims 4 GiB.
    let mut claim = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    claim.extend([0, 0, 0, 6, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
    let mut header = BatchHeader::parse(&plain()).unwrap();
    header.attributes |= 2;
    let batch = assemble(&mut header, &claim);
    assert!(validate(batch, &rules(), NOW).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        let _ = validate(bytes.clone(), &rules(), NOW);
        let _ = batch_records(&bytes, 1 << 20);
        let _ = batches(&bytes).count();
    }

    /// The checksum is right and the records are not: what only someone who means it sends.
    #[test]
    fn hostile_records_are_refused_without_a_panic(
        records in prop::collection::vec(any::<u8>(), 0..200),
        keep in 0usize..60,
        codec in 0i16..5,
        count in prop_oneof![0i32..10, any::<i32>()],
        compacted in any::<bool>(),
    ) {
        let codec = Codec::from_id(codec).unwrap();
        // A good beginning reaches further into the decoders.
        let good = build_batch(&rows(5), BatchOptions { codec, ..BatchOptions::default() }).unwrap();
        let mut body = good.bytes()[HEADER_BYTES..].to_vec();
        body.truncate(keep);
        body.extend(records);
        let mut header = good.header().clone();
        header.record_count = count;
        header.last_offset_delta = count.wrapping_sub(1);
        let batch = assemble(&mut header, &body);
        let rules = ProduceRules { compacted, compression: Some(Codec::None), ..rules() };
        if let Ok(valid) = validate(batch.clone(), &rules, NOW) {
            prop_assert_eq!(batch_records(valid.bytes(), 1 << 20).unwrap().len(), count as usize);
        }
        let _ = batch_records(&batch, 1 << 20);
    }
}
