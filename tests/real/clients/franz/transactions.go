package main

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func transactions(f *facts) {
	f.create("paid", 1, nil)
	topic := f.name("paid")
	producer := func(id string, opts ...kgo.Opt) *kgo.Client {
		return f.with(append([]kgo.Opt{kgo.TransactionalID(f.name(id)), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	}
	read := func(level kgo.IsolationLevel, count int, opts ...kgo.Opt) (any, error) {
		return texts(f.read(count, append([]kgo.Opt{f.from("paid", 0, at(0)), kgo.FetchIsolationLevel(level)}, opts...)...))
	}
	described := func(id, state string) (any, error) {
		return until(func() kadm.DescribedTransaction {
			found, _ := f.admin.DescribeTransactions(f.ctx, f.name(id))
			return found[f.name(id)]
		}, func(t kadm.DescribedTransaction) bool { return t.State == state }), nil
	}
	volatile := []string{"ProducerID", "StartTimestamp", "LastTimestamp"}
	ends := func() (any, error) {
		end, err := f.admin.ListEndOffsets(f.ctx, topic)
		if err != nil {
			return nil, err
		}
		stable, err := f.admin.ListCommittedOffsets(f.ctx, topic)
		return []any{end[topic][0].Offset, stable[topic][0].Offset}, err
	}
	p := producer("t1")
	f.ask("transaction begin", func() (any, error) { return nil, p.BeginTransaction() })
	f.ask("transaction begin again", func() (any, error) { return nil, p.BeginTransaction() })
	f.ask("transaction produce", func() (any, error) { return nil, p.ProduceSync(f.ctx, values("a", "b")...).FirstErr() })
	f.ask("transaction described, open", func() (any, error) { return described("t1", "Ongoing") }, volatile...)
	f.ask("transaction listed, open", func() (any, error) {
		all, err := f.admin.ListTransactions(f.ctx, nil, []string{"Ongoing"})
		return all[f.name("t1")], err
	}, volatile...)
	f.ask("producers described, open", func() (any, error) {
		found, err := f.admin.DescribeProducers(f.ctx, kadm.TopicsSet{topic: {0: {}}})
		return found.SortedProducers(), err
	}, volatile...)
	f.ask("ends, open", ends)
	f.ask("read uncommitted, open", func() (any, error) { return read(kgo.ReadUncommitted(), 2) })
	f.ask("transaction commit", func() (any, error) { return nil, p.EndTransaction(f.ctx, kgo.TryCommit) })
	f.ask("transaction described, committed", func() (any, error) { return described("t1", "CompleteCommit") }, volatile...)
	f.ask("ends, committed", func() (any, error) {
		until(func() int64 {
			stable, _ := f.admin.ListCommittedOffsets(f.ctx, topic)
			return stable[topic][0].Offset
		}, func(at int64) bool { return at == 3 })
		return ends()
	})
	f.ask("read committed", func() (any, error) { return read(kgo.ReadCommitted(), 2) })
	f.ask("transaction abort", func() (any, error) {
		if err := p.BeginTransaction(); err != nil {
			return nil, err
		}
		if err := p.ProduceSync(f.ctx, values("lost")...).FirstErr(); err != nil {
			return nil, err
		}
		return nil, p.EndTransaction(f.ctx, kgo.TryAbort)
	})
	f.ask("transaction described, aborted", func() (any, error) { return described("t1", "CompleteAbort") }, volatile...)
	f.ask("transaction of nothing", func() (any, error) {
		if err := p.BeginTransaction(); err != nil {
			return nil, err
		}
		return nil, p.EndTransaction(f.ctx, kgo.TryCommit)
	})
	f.ask("two transactions in a row", func() (any, error) {
		for _, value := range []string{"c", "d"} {
			if err := p.BeginTransaction(); err != nil {
				return nil, err
			}
			if err := p.ProduceSync(f.ctx, values(value)...).FirstErr(); err != nil {
				return nil, err
			}
			if err := p.EndTransaction(f.ctx, kgo.TryCommit); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	f.ask("read committed, with an aborted one", func() (any, error) { return read(kgo.ReadCommitted(), 4) })
	f.ask("read uncommitted, with an aborted one", func() (any, error) { return read(kgo.ReadUncommitted(), 5) })
	f.ask("read with control records", func() (any, error) {
		records, err := f.read(9, f.from("paid", 0, at(0)), kgo.KeepControlRecords())
		told := []any{}
		for _, r := range records {
			told = append(told, []any{r.Offset, r.Attrs.IsControl(), r.Attrs.IsTransactional()})
			if r.Attrs.IsControl() {
				told = append(told, []any{r.Key, r.Value})
			}
		}
		return told, err
	})
	f.ask("transaction listed, whole", func() (any, error) {
		all, err := f.admin.ListTransactions(f.ctx, nil, nil)
		return all[f.name("t1")], err
	}, volatile...)
	f.ask("transaction listed, of no such state", func() (any, error) {
		all, err := f.admin.ListTransactions(f.ctx, nil, []string{"Busy"})
		return len(all), err
	})
	f.ask("transaction described, unknown", func() (any, error) {
		return f.admin.DescribeTransactions(f.ctx, f.name("ghost"))
	}, volatile...)
	f.ask("fenced: a second producer with the id", func() (any, error) {
		if err := p.BeginTransaction(); err != nil {
			return nil, err
		}
		if err := p.ProduceSync(f.ctx, values("zombie")...).FirstErr(); err != nil {
			return nil, err
		}
		second := producer("t1")
		defer second.Close()
		_, _, err := second.ProducerID(f.ctx)
		return nil, err
	})
	f.ask("fenced: the first produces", func() (any, error) { return nil, p.ProduceSync(f.ctx, values("late")...).FirstErr() })
	f.ask("fenced: the first commits", func() (any, error) { return nil, p.EndTransaction(f.ctx, kgo.TryCommit) })
	p.Close()
	f.ask("transaction time-out too long", func() (any, error) {
		p := producer("long", kgo.TransactionTimeout(time.Hour))
		defer p.Close()
		_, _, err := p.ProducerID(f.ctx)
		return nil, err
	})
	f.ask("transaction that timed out", func() (any, error) {
		p := producer("slow", kgo.TransactionTimeout(time.Second))
		defer p.Close()
		if err := p.BeginTransaction(); err != nil {
			return nil, err
		}
		if err := p.ProduceSync(f.ctx, values("too slow")...).FirstErr(); err != nil {
			return nil, err
		}
		return described("slow", "CompleteAbort")
	}, volatile...)
	session(f)
}

// session copies records from one topic to another, their offsets in the same transactions.
func session(f *facts) {
	f.create("in", 2, nil)
	f.create("out", 1, nil)
	f.send("in", values("1", "2", "3", "4", "5", "6"), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	s, err := kgo.NewGroupTransactSession(append(f.with().Opts(), kgo.TransactionalID(f.name("copy")), kgo.ConsumerGroup(f.name("copiers")), kgo.ConsumeTopics(f.name("in")),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DefaultProduceTopic(f.name("out")), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets())...)
	if err != nil {
		f.say("copy", "SCRIPT "+err.Error())
		return
	}
	turn := func(wanted int, end kgo.TransactionEndTry) (any, error) {
		ctx, cancel := context.WithTimeout(f.ctx, deadline)
		defer cancel()
		if err := s.Begin(); err != nil {
			return nil, err
		}
		copied := 0
		for copied < wanted {
			fetches := s.PollRecords(ctx, wanted-copied)
			if err := fetches.Err(); err != nil {
				return nil, err
			}
			for _, r := range fetches.Records() {
				if err := s.ProduceSync(ctx, kgo.StringRecord("copy of "+string(r.Value))).FirstErr(); err != nil {
					return nil, err
				}
				copied++
			}
		}
		committed, err := s.End(ctx, end)
		return []any{copied, committed}, err
	}
	f.ask("copy: aborted", func() (any, error) { return turn(6, kgo.TryAbort) })
	f.ask("copy: offsets after the abort", func() (any, error) { return f.admin.FetchOffsets(f.ctx, f.name("copiers")) })
	f.ask("copy: committed", func() (any, error) { return turn(6, kgo.TryCommit) })
	f.ask("copy: offsets after the commit", func() (any, error) {
		return until(func() kadm.OffsetResponses {
			found, _ := f.admin.FetchOffsets(f.ctx, f.name("copiers"))
			return found
		}, func(found kadm.OffsetResponses) bool { return len(found[f.name("in")]) == 2 }), nil
	})
	s.Close()
	f.ask("copy: what was copied", func() (any, error) {
		records, err := f.read(6, f.from("out", 0, at(0)), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		seen := []string{}
		for _, r := range records {
			seen = append(seen, string(r.Value))
		}
		slices.Sort(seen)
		return seen, err
	})
}
