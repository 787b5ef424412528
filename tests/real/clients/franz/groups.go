package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// member is a consumer of a group that is polled all the time.
type member struct {
	*kgo.Client
	mu       sync.Mutex
	assigned map[string][]int32
	read     []*kgo.Record
	errors   []string
	stop     context.CancelFunc
	stopped  chan struct{}
}

func (f *facts) member(group, id string, topics []string, opts ...kgo.Opt) *member {
	m := &member{assigned: map[string][]int32{}, stopped: make(chan struct{})}
	change := func(add bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for topic, list := range parts {
				for _, p := range list {
					m.assigned[topic] = slices.DeleteFunc(m.assigned[topic], func(q int32) bool { return q == p })
					if add {
						m.assigned[topic] = append(m.assigned[topic], p)
					}
				}
				slices.Sort(m.assigned[topic])
			}
		}
	}
	m.Client = f.with(append([]kgo.Opt{
		kgo.ClientID(id), kgo.ConsumerGroup(f.name(group)), kgo.ConsumeTopics(topics...), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(200 * time.Millisecond), kgo.MetadataMaxAge(500 * time.Millisecond),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)),
	}, opts...)...)
	ctx, stop := context.WithCancel(f.ctx)
	m.stop = stop
	go func() {
		defer close(m.stopped)
		for ctx.Err() == nil {
			fetches := m.PollFetches(ctx)
			m.mu.Lock()
			m.read = append(m.read, fetches.Records()...)
			for _, failed := range fetches.Errors() {
				if failed.Err != context.Canceled {
					m.errors = append(m.errors, errorText(failed.Err))
				}
			}
			m.mu.Unlock()
		}
	}()
	return m
}

// leaves ends the polling, then leaves the group.
func (m *member) leaves() {
	m.stop()
	<-m.stopped
	m.Close()
}

func (m *member) has(topic string) []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.assigned[topic])
}

// shares waits until the members have as many partitions each as wanted, in any order.
func shares(topic string, wanted []int, members ...*member) []int {
	return until(func() []int {
		counts := []int{}
		for _, m := range members {
			counts = append(counts, len(m.has(topic)))
		}
		slices.Sort(counts)
		return counts
	}, func(counts []int) bool { return slices.Equal(counts, wanted) })
}

func (f *facts) group(name string) kadm.DescribedGroup {
	found, _ := f.admin.DescribeGroups(f.ctx, f.name(name))
	return found[f.name(name)]
}

// told is a classic group without what differs from run to run.
func told(group kadm.DescribedGroup) any {
	members := []any{}
	for _, m := range group.Members {
		parts := []any{}
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, topic := range assigned.Topics {
				slices.Sort(topic.Partitions)
				parts = append(parts, topic.Topic, topic.Partitions)
			}
		}
		version := int16(-1)
		if join, ok := m.Join.AsConsumer(); ok {
			version = join.Version
		}
		members = append(members, []any{m.ClientID, m.ClientHost, m.InstanceID, parts, version})
	}
	slices.SortFunc(members, func(a, b any) int {
		if a.([]any)[0].(string) < b.([]any)[0].(string) {
			return -1
		}
		return 1
	})
	return map[string]any{"state": group.State, "type": group.ProtocolType, "protocol": group.Protocol, "coordinator": group.Coordinator.NodeID,
		"members": members, "error": group.Err, "said": group.ErrMessage}
}

// offsets of groups without members.
func offsets(f *facts) {
	f.create("shared", 4, nil)
	records := []*kgo.Record{}
	for i := range 20 {
		records = append(records, &kgo.Record{Partition: int32(i % 4), Value: []byte{byte('a' + i)}})
	}
	f.send("shared", records, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	offset := func(topic string, partition int32, at int64, metadata string) kadm.Offsets {
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: f.name(topic), Partition: partition, At: at, LeaderEpoch: -1, Metadata: metadata})
		return offsets
	}
	commit := func(name string, offsets kadm.Offsets) {
		f.ask("offsets commit "+name, func() (any, error) { return f.admin.CommitOffsets(f.ctx, f.name("byhand"), offsets) })
	}
	fetched := func(name, group string) {
		f.ask("offsets fetched "+name, func() (any, error) { return f.admin.FetchOffsets(f.ctx, f.name(group)) })
	}
	fetched("of a group that isn't there", "ghost")
	f.ask("group describe ghost", func() (any, error) { return told(f.group("ghost")), nil })
	commit("by hand", offset("shared", 0, 3, "note"))
	commit("beyond the end", offset("shared", 1, 999, ""))
	commit("of an unknown topic", offset("ghost", 0, 3, ""))
	commit("of an unknown partition", offset("shared", 9, 3, ""))
	commit("a note too long", offset("shared", 2, 1, string(make([]byte, 5000))))
	fetched("by hand", "byhand")
	f.ask("offsets fetched of a topic", func() (any, error) { return f.admin.FetchOffsetsForTopics(f.ctx, f.name("byhand"), f.name("shared")) })
	f.ask("offsets fetched of many groups", func() (any, error) {
		found := f.admin.FetchManyOffsets(f.ctx, f.name("byhand"), f.name("ghost"))
		return found, nil
	})
	f.ask("group made by its offsets", func() (any, error) { return told(f.group("byhand")), nil })
	f.ask("group made by its offsets is listed", func() (any, error) {
		listed, err := f.admin.ListGroups(f.ctx)
		return listed[f.name("byhand")], err
	})
	f.ask("offsets delete", func() (any, error) {
		return f.admin.DeleteOffsets(f.ctx, f.name("byhand"), kadm.TopicsSet{f.name("shared"): {1: {}, 3: {}}, f.name("ghost"): {0: {}}})
	})
	fetched("after the delete", "byhand")
	f.ask("offsets delete of no group", func() (any, error) {
		return f.admin.DeleteOffsets(f.ctx, f.name("ghost"), kadm.TopicsSet{f.name("shared"): {1: {}}})
	})
	f.ask("lag by hand", func() (any, error) { return lag(f, "byhand") })
	f.ask("group delete", func() (any, error) { return f.admin.DeleteGroups(f.ctx, f.name("byhand"), f.name("ghost")) })
	fetched("after the group's delete", "byhand")
	f.ask("group leave of nobody", func() (any, error) {
		return f.admin.LeaveGroup(f.ctx, kadm.LeaveGroup(f.name("ghost")).InstanceIDs("i-a").Reason("r"))
	})
}

// lag is [partition, committed, end, lag] of each partition.
func lag(f *facts, group string) (any, error) {
	found, err := f.admin.Lag(f.ctx, f.name(group))
	rows := []any{}
	for _, part := range found[f.name(group)].Lag.Sorted() {
		rows = append(rows, []any{part.Topic, part.Partition, part.Commit.At, part.End.Offset, part.Lag, part.Member != nil, part.Err})
	}
	return []any{found[f.name(group)].State, rows}, err
}

func groups(f *facts) {
	f.create("g", 4, nil)
	records := []*kgo.Record{}
	for i := range 20 {
		records = append(records, &kgo.Record{Partition: int32(i % 4), Value: []byte{byte('a' + i)}})
	}
	f.send("g", records, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	topic := f.name("g")
	for i, balancer := range []kgo.GroupBalancer{kgo.CooperativeStickyBalancer(), kgo.StickyBalancer(), kgo.RangeBalancer(), kgo.RoundRobinBalancer()} {
		name := []string{"cooperative-sticky", "sticky", "range", "roundrobin"}[i]
		a := f.member(name, "a", []string{topic}, kgo.Balancers(balancer))
		f.say("group "+name+": one member", shares(topic, []int{4}, a))
		b := f.member(name, "b", []string{topic}, kgo.Balancers(balancer))
		f.say("group "+name+": two members", shares(topic, []int{2, 2}, a, b))
		group := until(func() kadm.DescribedGroup { return f.group(name) }, func(g kadm.DescribedGroup) bool { return g.State == "Stable" })
		if name == "range" {
			f.say("group range: described", []any{group.State, group.Protocol, group.ProtocolType, len(group.Members)})
			f.ask("group range: delete while it lives", func() (any, error) { return f.admin.DeleteGroups(f.ctx, f.name(name)) })
			f.ask("group range: commit from outside", func() (any, error) {
				offsets := kadm.Offsets{}
				offsets.AddOffset(topic, 0, 1, -1)
				return f.admin.CommitOffsets(f.ctx, f.name(name), offsets)
			})
			f.ask("group range: delete offsets while it lives", func() (any, error) {
				return f.admin.DeleteOffsets(f.ctx, f.name(name), kadm.TopicsSet{topic: {0: {}}})
			})
			f.ask("group range: commit of a member", func() (any, error) {
				until(func() int { a.mu.Lock(); defer a.mu.Unlock(); return len(a.read) }, func(n int) bool { return n >= 10 })
				return nil, a.CommitUncommittedOffsets(f.ctx)
			})
			f.ask("group range: all read once at least", func() (any, error) {
				seen := until(func() map[string]bool {
					seen := map[string]bool{}
					for _, m := range []*member{a, b} {
						m.mu.Lock()
						for _, r := range m.read {
							seen[string(r.Value)] = true
						}
						m.mu.Unlock()
					}
					return seen
				}, func(seen map[string]bool) bool { return len(seen) == 20 })
				return len(seen), nil
			})
		} else {
			f.say("group "+name+": described", []any{group.State, group.Protocol, group.ProtocolType, len(group.Members)})
		}
		b.leaves()
		f.say("group "+name+": one has left", shares(topic, []int{4}, a))
		a.leaves()
		f.say("group "+name+": empty", told(until(func() kadm.DescribedGroup { return f.group(name) }, func(g kadm.DescribedGroup) bool { return g.State == "Empty" })))
	}
	f.ask("groups listed as empty", func() (any, error) { return listed(f, "", "Empty") })
	f.ask("groups listed as stable", func() (any, error) { return listed(f, "", "Stable") })
	f.ask("groups listed as classic", func() (any, error) { return listed(f, "classic") })
	f.ask("groups listed in no such state", func() (any, error) { return listed(f, "", "Busy") })
	a := f.member("static", "a", []string{topic}, kgo.Balancers(kgo.RangeBalancer()), kgo.InstanceID("i-a"))
	shares(topic, []int{4}, a)
	b := f.member("static", "b", []string{topic}, kgo.Balancers(kgo.RangeBalancer()), kgo.InstanceID("i-b"))
	shares(topic, []int{2, 2}, a, b)
	f.say("static: two members", told(until(func() kadm.DescribedGroup { return f.group("static") }, func(g kadm.DescribedGroup) bool { return g.State == "Stable" && len(g.Members) == 2 })))
	before := a.has(topic)
	a.leaves()
	f.say("static: one that left is still a member", told(f.group("static")))
	a = f.member("static", "a", []string{topic}, kgo.Balancers(kgo.RangeBalancer()), kgo.InstanceID("i-a"))
	shares(topic, []int{2, 2}, a, b)
	f.say("static: it has its partitions back", slices.Equal(a.has(topic), before))
	a.leaves()
	f.ask("static: taken out by an administrator", func() (any, error) {
		return f.admin.LeaveGroup(f.ctx, kadm.LeaveGroup(f.name("static")).InstanceIDs("i-a", "i-z"))
	}, "MemberID")
	f.say("static: the other has all", shares(topic, []int{4}, b))
	b.leaves()
}

func listed(f *facts, kind string, states ...string) (any, error) {
	kinds := []string{}
	if kind != "" {
		kinds = append(kinds, kind)
	}
	found, err := f.admin.ListGroupsByType(f.ctx, kinds, states...)
	rows := []any{}
	for _, group := range found.Sorted() {
		if len(group.Group) > len(f.prefix) && group.Group[:len(f.prefix)] == f.prefix {
			rows = append(rows, group)
		}
	}
	return rows, err
}

// nextGeneration is groups of KIP-848, whose partitions the coordinator assigns.
func nextGeneration(f *facts) {
	f.create("next", 4, nil)
	topic := f.name("next")
	f.send("next", values("a", "b", "c"))
	described := func(name string, wanted func(kadm.DescribedConsumerGroup) bool) any {
		group := until(func() kadm.DescribedConsumerGroup {
			found, _ := f.admin.DescribeConsumerGroups(f.ctx, f.name(name))
			return found[f.name(name)]
		}, wanted)
		members := []any{}
		for _, m := range group.Members {
			parts := 0
			for _, list := range m.Assignment {
				parts += len(list)
			}
			members = append(members, []any{m.ClientID, m.ClientHost, m.InstanceID, m.MemberType, m.SubscribedTopics, m.SubscribedTopicRegex, parts, m.MemberEpoch == group.Epoch})
		}
		slices.SortFunc(members, func(a, b any) int {
			if a.([]any)[0].(string) < b.([]any)[0].(string) {
				return -1
			}
			return 1
		})
		return map[string]any{"state": group.State, "assignor": group.AssignorName, "members": members, "error": group.Err,
			"epochs": group.Epoch == group.AssignmentEpoch, "coordinator": group.Coordinator.NodeID}
	}
	stable := func(count int) func(kadm.DescribedConsumerGroup) bool {
		return func(g kadm.DescribedConsumerGroup) bool {
			current := g.State == "Stable" && len(g.Members) == count
			for _, m := range g.Members {
				current = current && m.MemberEpoch == g.Epoch
			}
			return current
		}
	}
	a := f.member("next", "a", []string{topic}, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	f.say("next: one member", shares(topic, []int{4}, a))
	f.say("next: described with one", described("next", stable(1)))
	b := f.member("next", "b", []string{topic}, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	f.say("next: two members", shares(topic, []int{2, 2}, a, b))
	f.say("next: described with two", described("next", stable(2)))
	f.ask("next: listed", func() (any, error) { return listed(f, "consumer") })
	f.ask("next: described as a classic group", func() (any, error) { return told(f.group("next")), nil })
	f.ask("next: delete while it lives", func() (any, error) { return f.admin.DeleteGroups(f.ctx, f.name("next")) })
	f.ask("next: commit from outside", func() (any, error) {
		offsets := kadm.Offsets{}
		offsets.AddOffset(topic, 0, 1, -1)
		return f.admin.CommitOffsets(f.ctx, f.name("next"), offsets)
	})
	f.ask("next: commit of a member", func() (any, error) {
		offsets := map[string]map[int32]kgo.EpochOffset{topic: {a.has(topic)[0]: {Epoch: -1, Offset: 0}}}
		var told error
		a.CommitOffsetsSync(f.ctx, offsets, nil)
		return told, nil
	})
	b.leaves()
	f.say("next: one has left", shares(topic, []int{4}, a))
	a.leaves()
	f.say("next: empty", described("next", func(g kadm.DescribedConsumerGroup) bool { return g.State == "Empty" }))
	f.ask("next: described ghost", func() (any, error) {
		return described("ghost", func(kadm.DescribedConsumerGroup) bool { return true }), nil
	})
	r := f.member("range", "r", []string{topic}, kgo.ServerSideBalancer(), kgo.Balancers(kgo.RangeBalancer()), kgo.InstanceID("i-r"))
	f.say("next: range, a static member", shares(topic, []int{4}, r))
	f.say("next: range, described", described("range", stable(1)))
	r.leaves()
	f.say("next: range, it left for a while", described("range", func(g kadm.DescribedConsumerGroup) bool { return len(g.Members) == 1 && g.Members[0].MemberEpoch == -2 }))
	p := f.member("pattern", "p", []string{f.prefix + "ne.*"}, kgo.ConsumeRegex(), kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	f.say("next: by pattern", shares(topic, []int{4}, p))
	p.leaves()
	c := f.member("later", "c", []string{topic}, kgo.Balancers(kgo.RangeBalancer()))
	shares(topic, []int{4}, c)
	d := f.member("later", "d", []string{topic}, kgo.ServerSideBalancer(), kgo.Balancers(kgo.RangeBalancer()))
	f.say("next: a classic group becomes one", shares(topic, []int{2, 2}, c, d))
	f.say("next: that group described", described("later", func(g kadm.DescribedConsumerGroup) bool { return stable(2)(g) }))
	d.leaves()
	c.leaves()
	f.ask("next: deleted", func() (any, error) { return f.admin.DeleteGroups(f.ctx, f.name("next")) })
}
