package main

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func text(s string) *string { return &s }

// create makes a topic, and waits until brokers know it.
func (f *facts) create(name string, partitions int32, configs map[string]*string) (any, error) {
	made, err := f.admin.CreateTopic(f.ctx, partitions, 1, configs, f.name(name))
	if err == nil {
		until(func() bool {
			found, err := f.admin.ListTopics(f.ctx, f.name(name))
			return err == nil && found[f.name(name)].Err == nil && len(found[f.name(name)].Partitions) == int(max(partitions, 1))
		}, func(known bool) bool { return known })
	}
	return made, err
}

func topics(f *facts) {
	created := func(name, topic string, partitions int32, replicas int16, configs map[string]*string) {
		f.ask("topic create "+name, func() (any, error) {
			made, err := f.admin.CreateTopics(f.ctx, partitions, replicas, configs, topic)
			return made, err
		})
	}
	described := func(name string) func() (any, error) {
		return func() (any, error) { return f.admin.ListTopics(f.ctx, f.name(name)) }
	}
	created("with settings", f.name("rides"), 3, 1, map[string]*string{"retention.ms": text("-1"), "cleanup.policy": text("compact,delete")})
	created("again", f.name("rides"), 3, 1, nil)
	created("slash", "a/b", 1, 1, nil)
	created("by default", f.name("default"), -1, -1, nil)
	created("too many replicas", f.name("many"), 1, 3, nil)
	created("no partitions", f.name("none"), 0, 1, nil)
	created("no replicas", f.name("none"), 1, 0, nil)
	created("bad setting", f.name("bad"), 1, 1, map[string]*string{"retention.ms": text("soon")})
	created("null setting", f.name("bad"), 1, 1, map[string]*string{"retention.ms": nil})
	f.ask("topic create dry", func() (any, error) {
		return f.admin.ValidateCreateTopics(f.ctx, 2, 1, map[string]*string{"max.message.bytes": text("7")}, f.name("dry"))
	}, "Configs")
	until(func() int {
		found, _ := f.admin.ListTopics(f.ctx, f.name("rides"), f.name("default"))
		return len(slices.DeleteFunc(found.Sorted(), func(topic kadm.TopicDetail) bool { return topic.Err != nil }))
	}, func(n int) bool { return n == 2 })
	f.ask("topic metadata", described("rides"))
	f.ask("topic metadata unknown", described("ghost"))
	f.ask("topic metadata bad name", func() (any, error) { return f.admin.ListTopics(f.ctx, "a/b") })
	for _, to := range []int{5, 5, 2} {
		f.ask(map[int]string{5: "partitions more", 2: "partitions fewer"}[to], func() (any, error) { return f.admin.UpdatePartitions(f.ctx, to, f.name("rides")) })
	}
	f.ask("partitions of an unknown topic", func() (any, error) { return f.admin.UpdatePartitions(f.ctx, 4, f.name("ghost")) })
	f.ask("partitions dry", func() (any, error) { return f.admin.ValidateUpdatePartitions(f.ctx, 9, f.name("rides")) })
	f.ask("partitions now", func() (any, error) {
		return until(func() int {
			found, _ := f.admin.ListTopics(f.ctx, f.name("rides"))
			return len(found[f.name("rides")].Partitions)
		}, func(n int) bool { return n == 5 }), nil
	})
	f.ask("topic delete", func() (any, error) { return f.admin.DeleteTopics(f.ctx, f.name("default")) })
	f.ask("topic delete unknown", func() (any, error) { return f.admin.DeleteTopics(f.ctx, f.name("ghost")) })
}

func configs(f *facts) {
	of := func(topic string) func() (any, error) {
		return func() (any, error) { return f.admin.DescribeTopicConfigs(f.ctx, f.name(topic)) }
	}
	value := func(key string) string {
		found, _ := f.admin.DescribeTopicConfigs(f.ctx, f.name("configured"))
		for _, config := range found[0].Configs {
			if config.Key == key {
				return *config.Value
			}
		}
		return ""
	}
	alter := func(name, topic string, changes ...kadm.AlterConfig) {
		f.ask("config "+name, func() (any, error) { return f.admin.AlterTopicConfigs(f.ctx, changes, f.name(topic)) })
	}
	f.create("configured", 1, nil)
	f.ask("config of a topic", of("configured"))
	f.ask("config of an unknown topic", of("ghost"))
	alter("set two", "configured", kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.ms", Value: text("5000")},
		kadm.AlterConfig{Op: kadm.AppendConfig, Name: "cleanup.policy", Value: text("compact")})
	f.ask("config after", func() (any, error) {
		return []any{until(func() string { return value("retention.ms") }, func(v string) bool { return v == "5000" }), value("cleanup.policy")}, nil
	})
	alter("subtract", "configured", kadm.AlterConfig{Op: kadm.SubtractConfig, Name: "cleanup.policy", Value: text("delete")})
	alter("append to what is no list", "configured", kadm.AlterConfig{Op: kadm.AppendConfig, Name: "retention.ms", Value: text("5")})
	alter("delete", "configured", kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "retention.ms"})
	alter("same twice", "configured", kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.ms", Value: text("5")},
		kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.ms", Value: text("6")})
	alter("bad value", "configured", kadm.AlterConfig{Op: kadm.SetConfig, Name: "segment.bytes", Value: text("many")})
	alter("null value", "configured", kadm.AlterConfig{Op: kadm.SetConfig, Name: "segment.bytes"})
	alter("unknown name", "configured", kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.mss", Value: text("1")})
	alter("of nobody", "ghost", kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.ms", Value: text("1")})
	f.ask("config dry", func() (any, error) {
		return f.admin.ValidateAlterTopicConfigs(f.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: text("-9")}}, f.name("configured"))
	})
	f.ask("config as a whole", func() (any, error) {
		return f.admin.AlterTopicConfigsState(f.ctx, []kadm.AlterConfig{{Name: "max.message.bytes", Value: text("9000")}}, f.name("configured"))
	})
	f.ask("config after the whole", func() (any, error) {
		return []any{until(func() string { return value("max.message.bytes") }, func(v string) bool { return v == "9000" }), value("cleanup.policy")}, nil
	})
	broker := func(name string, op kadm.IncrementalOp, key string, value *string, brokers ...int32) {
		f.ask("config of the broker: "+name, func() (any, error) {
			return f.admin.AlterBrokerConfigs(f.ctx, []kadm.AlterConfig{{Op: op, Name: key, Value: value}}, brokers...)
		})
	}
	found := func(key string, brokers ...int32) func() (any, error) {
		return func() (any, error) {
			all, err := f.admin.DescribeBrokerConfigs(f.ctx, brokers...)
			if err != nil {
				return nil, err
			}
			for _, config := range all[0].Configs {
				if config.Key == key {
					return config, nil
				}
			}
			return nil, nil
		}
	}
	// A broker hears of a change a moment after the controller.
	changed := func(value, key string, brokers ...int32) func() (any, error) {
		return func() (any, error) {
			return until(func() any { config, _ := found(key, brokers...)(); return config }, func(config any) bool {
				it, there := config.(kadm.Config)
				return there && it.Value != nil && *it.Value == value
			}), nil
		}
	}
	broker("set", kadm.SetConfig, "log.cleaner.threads", text("2"), 1)
	f.ask("config of the broker: set, then", changed("2", "log.cleaner.threads", 1))
	broker("delete", kadm.DeleteConfig, "log.cleaner.threads", nil, 1)
	broker("set for all", kadm.SetConfig, "background.threads", text("12"))
	f.ask("config of the broker: set for all, then", changed("12", "background.threads", 1))
	f.ask("config of all brokers", changed("12", "background.threads"))
	broker("delete for all", kadm.DeleteConfig, "background.threads", nil)
	broker("read-only", kadm.SetConfig, "process.roles", text("broker"), 1)
	broker("bad value", kadm.SetConfig, "log.cleaner.threads", text("no"), 1)
	broker("unknown name", kadm.SetConfig, "log.cleaner.hands", text("2"), 1)
	broker("unknown broker", kadm.SetConfig, "log.cleaner.threads", text("2"), 7)
	f.ask("config resources", func() (any, error) {
		listed, err := f.admin.ListConfigResources(f.ctx, kmsg.ConfigResourceTypeBroker)
		return listed, err
	})
}

func cluster(f *facts) {
	f.ask("cluster", func() (any, error) { return f.admin.BrokerMetadata(f.ctx) }, "Cluster", "Port", "ID")
	f.ask("coordinator of a group", func() (any, error) { return f.admin.FindGroupCoordinators(f.ctx, f.name("g")), nil }, "Port")
	f.ask("coordinator of a transaction", func() (any, error) { return f.admin.FindTxnCoordinators(f.ctx, f.name("t")), nil }, "Port")
	f.ask("coordinator of no group", func() (any, error) { return f.admin.FindGroupCoordinators(f.ctx, ""), nil }, "Port")
	acls := func() *kadm.ACLBuilder {
		return kadm.NewACLs().Topics("t").Allow("User:a").AllowHosts("*").Operations(kadm.OpRead).ResourcePatternType(kadm.ACLPatternLiteral)
	}
	f.ask("ACL create", func() (any, error) { return f.admin.CreateACLs(f.ctx, acls()) })
	f.ask("ACL describe", func() (any, error) { return f.admin.DescribeACLs(f.ctx, acls()) })
	f.ask("ACL delete", func() (any, error) { return f.admin.DeleteACLs(f.ctx, acls()) })
	client := kadm.ClientQuotaEntity{{Type: "client-id", Name: text(f.name("quick"))}}
	quota := func(name string, entity kadm.ClientQuotaEntity, ops ...kadm.AlterClientQuotaOp) {
		f.ask("quota "+name, func() (any, error) {
			return f.admin.AlterClientQuotas(f.ctx, []kadm.AlterClientQuotaEntry{{Entity: entity, Ops: ops}})
		})
	}
	described := func() (any, error) {
		found := until(func() kadm.DescribedClientQuotas {
			found, _ := f.admin.DescribeClientQuotas(f.ctx, true, []kadm.DescribeClientQuotaComponent{{Type: "client-id", MatchName: text(f.name("quick"))}})
			return found
		}, func(q kadm.DescribedClientQuotas) bool { return len(q) == 1 && len(q[0].Values) == 2 })
		for _, quota := range found {
			slices.SortFunc(quota.Values, func(a, b kadm.ClientQuotaValue) int { return strings.Compare(a.Key, b.Key) })
		}
		return found, nil
	}
	quota("set", client, kadm.AlterClientQuotaOp{Key: "producer_byte_rate", Value: 5e6}, kadm.AlterClientQuotaOp{Key: "request_percentage", Value: 150})
	f.ask("quota described", described)
	quota("remove", client, kadm.AlterClientQuotaOp{Key: "producer_byte_rate", Remove: true}, kadm.AlterClientQuotaOp{Key: "request_percentage", Remove: true})
	quota("unknown", client, kadm.AlterClientQuotaOp{Key: "producer_bit_rate", Value: 5})
	quota("negative", client, kadm.AlterClientQuotaOp{Key: "producer_byte_rate", Value: -5})
	quota("of an address that is none", kadm.ClientQuotaEntity{{Type: "ip", Name: text("nowhere.")}}, kadm.AlterClientQuotaOp{Key: "connection_creation_rate", Value: 5})
	quota("of nobody", kadm.ClientQuotaEntity{}, kadm.AlterClientQuotaOp{Key: "producer_byte_rate", Value: 5})
	f.ask("SCRAM describe", func() (any, error) { return f.admin.DescribeUserSCRAMs(f.ctx, f.name("u")) })
	f.ask("SCRAM delete", func() (any, error) {
		return f.admin.AlterUserSCRAMs(f.ctx, []kadm.DeleteSCRAM{{User: f.name("u"), Mechanism: kadm.ScramSha256}}, nil)
	})
	f.ask("SCRAM too few iterations", func() (any, error) {
		return f.admin.AlterUserSCRAMs(f.ctx, nil, []kadm.UpsertSCRAM{{User: f.name("u"), Mechanism: kadm.ScramSha256, Iterations: 4095, Password: "p"}})
	})
	f.ask("token create", func() (any, error) {
		return f.admin.CreateDelegationToken(f.ctx, kadm.CreateDelegationToken{MaxLifetime: time.Hour})
	})
	f.ask("token describe", func() (any, error) { return f.admin.DescribeDelegationTokens(f.ctx) })
	f.ask("feature unknown", func() (any, error) {
		return f.admin.UpdateFeatures(f.ctx, true, kadm.FeatureUpdate{Feature: "no.such", MaxVersionLevel: 1, UpgradeType: 1})
	})
	f.ask("feature back", func() (any, error) {
		return f.admin.UpdateFeatures(f.ctx, true, kadm.FeatureUpdate{Feature: "metadata.version", MaxVersionLevel: 1, UpgradeType: 1})
	})
	f.create("placed", 2, nil)
	one := kadm.TopicsSet{f.name("placed"): {0: {}, 9: {}}}
	f.ask("elect the preferred", func() (any, error) { return f.admin.ElectLeaders(f.ctx, kadm.ElectPreferredReplica, one) })
	f.ask("elect anybody", func() (any, error) { return f.admin.ElectLeaders(f.ctx, kadm.ElectLiveReplica, one) })
	assign := func(name string, topic string, replicas ...int32) {
		f.ask("reassign "+name, func() (any, error) {
			ask := kadm.AlterPartitionAssignmentsReq{}
			ask.Assign(f.name(topic), 0, replicas)
			return f.admin.AlterPartitionAssignments(f.ctx, ask)
		})
	}
	assign("as it is", "placed", 1)
	assign("to a broker that isn't there", "placed", 9)
	assign("to one twice", "placed", 1, 1)
	assign("an unknown topic", "ghost", 1)
	f.ask("reassign cancel nothing", func() (any, error) {
		ask := kadm.AlterPartitionAssignmentsReq{}
		ask.CancelAssign(f.name("placed"), 0)
		return f.admin.AlterPartitionAssignments(f.ctx, ask)
	})
	f.ask("reassignments", func() (any, error) {
		return f.admin.ListPartitionReassignments(f.ctx, kadm.TopicsSet{f.name("placed"): {0: {}}})
	})
	f.ask("end of an epoch", func() (any, error) {
		return f.admin.OffsetForLeaderEpoch(f.ctx, kadm.OffsetForLeaderEpochRequest{f.name("placed"): {0: 0, 1: 5}})
	})
	f.ask("log folders", func() (any, error) {
		found, err := f.admin.DescribeAllLogDirs(f.ctx, kadm.TopicsSet{f.name("placed"): {0: {}, 1: {}}})
		told := []any{}
		for _, broker := range slices.Sorted(maps.Keys(found)) {
			for _, dir := range found[broker] {
				told = append(told, []any{broker, dir.Err, dir.Topics, dir.TotalBytes > dir.UsableBytes, dir.IsCordoned})
			}
		}
		return told, err
	}, "Dir")
	f.ask("move to a folder that isn't there", func() (any, error) {
		ask := kadm.AlterReplicaLogDirsReq{}
		ask.Add("/no/such", kadm.TopicsSet{f.name("placed"): {0: {}}})
		return f.admin.AlterBrokerReplicaLogDirs(f.ctx, 1, ask)
	})
}
