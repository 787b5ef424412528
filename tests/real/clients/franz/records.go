package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// send produces records with a producer of its own; [partition, offset] or the error of each.
func (f *facts) send(topic string, records []*kgo.Record, opts ...kgo.Opt) []any {
	client := f.with(append([]kgo.Opt{kgo.DefaultProduceTopic(f.name(topic))}, opts...)...)
	defer client.Close()
	ctx, cancel := context.WithTimeout(f.ctx, deadline)
	defer cancel()
	told := []any{}
	for _, record := range records {
		done := client.ProduceSync(ctx, record)
		if done[0].Err != nil {
			told = append(told, errorText(done[0].Err))
		} else {
			told = append(told, []any{done[0].Record.Partition, done[0].Record.Offset})
		}
	}
	return told
}

func values(texts ...string) []*kgo.Record {
	records := []*kgo.Record{}
	for _, value := range texts {
		records = append(records, kgo.StringRecord(value))
	}
	return records
}

// read gives `count` records, or what came before an error, which is told too.
func (f *facts) read(count int, opts ...kgo.Opt) ([]*kgo.Record, error) {
	client := f.with(opts...)
	defer client.Close()
	return poll(f.ctx, client, count)
}

func poll(ctx context.Context, client *kgo.Client, count int) (records []*kgo.Record, err error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	for len(records) < count {
		fetches := client.PollFetches(ctx)
		for _, failed := range fetches.Errors() {
			return records, failed.Err
		}
		records = append(records, fetches.Records()...)
	}
	return records, nil
}

// from is a partition of a topic from an offset on.
func (f *facts) from(topic string, partition int32, offset kgo.Offset) kgo.Opt {
	return kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{f.name(topic): {partition: offset}})
}

func at(offset int64) kgo.Offset { return kgo.NewOffset().At(offset) }

// texts is [offset, value] of each record.
func texts(records []*kgo.Record, err error) (any, error) {
	told := []any{}
	for _, record := range records {
		told = append(told, []any{record.Offset, string(record.Value)})
	}
	if err != nil {
		told = append(told, errorText(err))
	}
	return told, nil
}

func produce(f *facts) {
	f.create("codecs", 1, nil)
	for name, codec := range map[string]kgo.CompressionCodec{"none": kgo.NoCompression()} {
		f.ask("produce "+name, func() (any, error) {
			return f.send("codecs", values(name, name), kgo.ProducerBatchCompression(codec)), nil
		})
	}
	for i, codec := range []kgo.CompressionCodec{kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		name := []string{"gzip", "snappy", "lz4", "zstd"}[i]
		f.ask("produce "+name, func() (any, error) {
			return f.send("codecs", values(string(bytes.Repeat([]byte(name), 30))), kgo.ProducerBatchCompression(codec)), nil
		})
	}
	f.ask("read all codecs", func() (any, error) {
		records, err := f.read(6, f.from("codecs", 0, at(0)))
		told := []any{}
		for _, r := range records {
			told = append(told, []any{r.Offset, string(r.Value), r.Attrs.CompressionType(), r.Attrs.TimestampType(), r.Attrs.IsTransactional(), r.LeaderEpoch, r.ProducerEpoch})
		}
		return told, err
	})
	f.create("keyed", 6, nil)
	f.ask("keys to partitions", func() (any, error) {
		records := []*kgo.Record{}
		for i := range 20 {
			records = append(records, kgo.KeyStringRecord(fmt.Sprintf("d-%02d", i), "v"))
		}
		return f.send("keyed", records), nil
	})
	for name, acks := range map[string]kgo.Acks{"0": kgo.NoAck()} {
		f.ask("produce acks="+name, func() (any, error) {
			return len(f.send("acks", values("a", "b"), kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite(), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(-1))), nil
		})
	}
	f.ask("read what was produced with acks=0", func() (any, error) { return texts(f.read(2, f.from("acks", 0, at(0)))) })
	f.ask("produce acks=1", func() (any, error) {
		return f.send("acks", values("c"), kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()), nil
	})
	f.ask("produce to a partition by hand", func() (any, error) {
		return f.send("keyed", []*kgo.Record{{Partition: 5, Value: []byte("by hand")}}, kgo.RecordPartitioner(kgo.ManualPartitioner())), nil
	})
	f.create("full", 1, map[string]*string{"retention.ms": text("-1")})
	f.ask("produce headers, times, nothing", func() (any, error) {
		return f.send("full", []*kgo.Record{
			{Key: []byte("k"), Value: []byte("v"), Timestamp: time.UnixMilli(1_000_000), Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a"}, {Key: "", Value: []byte{}}}},
			{Key: []byte("k")}, {Value: []byte{}},
		}), nil
	})
	f.ask("read headers, times, nothing", func() (any, error) {
		records, err := f.read(3, f.from("full", 0, at(0)))
		told := []any{}
		for _, r := range records {
			stamp := r.Timestamp.UnixMilli()
			if stamp != 1_000_000 {
				stamp = 0
			}
			told = append(told, []any{r.Key, r.Value, r.Value == nil, r.Headers, stamp})
		}
		return told, err
	})
	f.create("stamped", 1, map[string]*string{"message.timestamp.type": text("LogAppendTime"), "compression.type": text("zstd")})
	f.ask("produce to a topic that stamps and compresses", func() (any, error) {
		return f.send("stamped", []*kgo.Record{{Value: bytes.Repeat([]byte("x"), 200), Timestamp: time.UnixMilli(5)}}, kgo.ProducerBatchCompression(kgo.NoCompression())), nil
	})
	f.ask("read what it stamped and compressed", func() (any, error) {
		records, err := f.read(1, f.from("stamped", 0, at(0)))
		if err != nil {
			return nil, err
		}
		return []any{records[0].Attrs.CompressionType(), records[0].Attrs.TimestampType(), time.Since(records[0].Timestamp) < time.Minute}, nil
	})
	f.create("small", 1, map[string]*string{"max.message.bytes": text("2000")})
	noise := make([]byte, 3000)
	rand.New(rand.NewSource(1)).Read(noise)
	f.ask("produce too large for the topic", func() (any, error) { return f.send("small", []*kgo.Record{{Value: noise}}), nil })
	f.ask("produce from the future", func() (any, error) {
		return f.send("full", []*kgo.Record{{Value: []byte("v"), Timestamp: time.Now().Add(2 * time.Hour)}}), nil
	})
	f.create("compacted", 1, map[string]*string{"cleanup.policy": text("compact")})
	f.ask("produce without a key to a compacted topic", func() (any, error) { return f.send("compacted", values("v")), nil })
	f.create("wary", 1, map[string]*string{"min.insync.replicas": text("2")})
	f.ask("produce with too few replicas in sync", func() (any, error) {
		return f.send("wary", values("v"), kgo.RecordRetries(1), kgo.DisableIdempotentWrite()), nil
	})
	f.ask("produce to an unknown topic", func() (any, error) { return f.send("ghost", values("v")), nil })
	f.ask("produce to a bad name", func() (any, error) {
		return f.send("full", []*kgo.Record{{Topic: "a/b", Value: []byte("v")}}), nil
	})
	f.ask("one producer, a thousand records", func() (any, error) {
		f.create("thousand", 1, nil)
		client := f.with(kgo.DefaultProduceTopic(f.name("thousand")))
		defer client.Close()
		records := []*kgo.Record{}
		for i := range 1000 {
			records = append(records, kgo.StringRecord(fmt.Sprint(i)))
		}
		if err := client.ProduceSync(f.ctx, records...).FirstErr(); err != nil {
			return nil, err
		}
		read, err := f.read(1000, f.from("thousand", 0, at(0)), kgo.FetchMaxBytes(5000), kgo.FetchMaxPartitionBytes(1000))
		ordered := true
		for i, r := range read {
			ordered = ordered && string(r.Value) == fmt.Sprint(i) && r.Offset == int64(i)
		}
		return []any{len(read), ordered}, err
	})
}

func consume(f *facts) {
	f.create("numbers", 2, map[string]*string{"retention.ms": text("-1")})
	records := []*kgo.Record{}
	for i := range 10 {
		records = append(records, &kgo.Record{Value: fmt.Appendf(nil, "n%d", i), Timestamp: time.UnixMilli(1_700_000_000_000 + int64(i)*1000)})
	}
	f.send("numbers", records, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	f.ask("read from 7", func() (any, error) { return texts(f.read(3, f.from("numbers", 0, at(7)))) })
	f.ask("read from two before the end", func() (any, error) {
		return texts(f.read(2, f.from("numbers", 0, kgo.NewOffset().AtEnd().Relative(-2))))
	})
	f.ask("read from a time", func() (any, error) {
		return texts(f.read(4, f.from("numbers", 0, kgo.NewOffset().AfterMilli(1_700_000_005_500))))
	})
	f.ask("read beyond the end, no reset", func() (any, error) {
		return texts(f.read(1, f.from("numbers", 0, at(99)), kgo.ConsumeResetOffset(kgo.NoResetOffset())))
	})
	f.ask("read beyond the end, reset to the start", func() (any, error) {
		return texts(f.read(10, f.from("numbers", 0, at(99)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepRetryableFetchErrors()))
	})
	f.ask("read an unknown topic", func() (any, error) {
		return texts(f.read(1, f.from("ghost", 0, at(0)), kgo.KeepRetryableFetchErrors()))
	})
	f.ask("read by pattern", func() (any, error) {
		records, err := f.read(10, kgo.ConsumeTopics("^"+f.prefix+"num.*"), kgo.ConsumeRegex(), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
		return len(records), err
	})
	f.ask("read without fetch sessions", func() (any, error) { return texts(f.read(10, f.from("numbers", 0, at(0)), kgo.DisableFetchSessions())) })
	f.ask("read as of another epoch", func() (any, error) {
		return texts(f.read(10, f.from("numbers", 0, at(0).WithEpoch(0)), kgo.FetchIsolationLevel(kgo.ReadCommitted())))
	})
	listed := func(name string, ask func(context.Context, ...string) (kadm.ListedOffsets, error), topic string) {
		f.ask("offsets listed "+name, func() (any, error) { return ask(f.ctx, f.name(topic)) })
	}
	listed("earliest", f.admin.ListStartOffsets, "numbers")
	listed("latest", f.admin.ListEndOffsets, "numbers")
	listed("committed", f.admin.ListCommittedOffsets, "numbers")
	listed("max timestamp", f.admin.ListMaxTimestampOffsets, "numbers")
	listed("earliest local", f.admin.ListLocalLogStartOffsets, "numbers")
	listed("latest tiered", f.admin.ListLatestRemoteOffsets, "numbers")
	listed("of an unknown topic", f.admin.ListEndOffsets, "ghost")
	for _, milli := range []int64{1, 1_700_000_003_000, 1_700_000_003_001, 1_800_000_000_000} {
		f.ask(fmt.Sprint("offsets listed after ", milli/1000), func() (any, error) { return f.admin.ListOffsetsAfterMilli(f.ctx, milli, f.name("numbers")) })
	}
	trim := func(name, topic string, partition int32, before int64) {
		f.ask("delete records "+name, func() (any, error) {
			offsets := kadm.Offsets{}
			offsets.AddOffset(f.name(topic), partition, before, -1)
			return f.admin.DeleteRecords(f.ctx, offsets)
		})
	}
	trim("before 4", "numbers", 0, 4)
	trim("before 2", "numbers", 0, 2)
	trim("beyond the end", "numbers", 0, 99)
	trim("of an unknown topic", "ghost", 0, 1)
	f.ask("read what was deleted, no reset", func() (any, error) {
		return texts(f.read(1, f.from("numbers", 0, at(1)), kgo.ConsumeResetOffset(kgo.NoResetOffset())))
	})
	f.ask("read what is left", func() (any, error) { return texts(f.read(6, f.from("numbers", 0, kgo.NewOffset().AtStart()))) })
	trim("all", "numbers", 0, -1)
	listed("earliest, all deleted", f.admin.ListStartOffsets, "numbers")
	listed("max timestamp, all deleted", f.admin.ListMaxTimestampOffsets, "numbers")
}
