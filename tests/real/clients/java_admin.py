"""More facts from Kafka's tools (java_tools.py): a fact is a command line, and its name is the line.

A comment at a line's end tells it from an equal one. Words that start with @ are names on the cluster, with % files of FILES.
"""

import json
import re
import time

SETTLE_S = 0.2

FILES = {
    "none.properties": lambda f: "",
    "scram.properties": lambda f: "SCRAM-SHA-256=[iterations=4096,password=secret]\n",
    "retention.properties": lambda f: "retention.ms=1234\nmax.message.bytes=99999\n",
    "broken.json": lambda f: '{"partitions": [',
    "empty.json": lambda f: '{"version": 1, "partitions": []}',
    "topics.json": lambda f: json.dumps({"version": 1, "topics": [{"topic": f.name("moves")}]}),
    "no-topics.json": lambda f: json.dumps({"version": 1, "topics": [{"topic": f.name("ghost")}]}),
    "here.json": lambda f: moves(f, [[0, [1]], [1, [1]]]),
    "nobody.json": lambda f: moves(f, [[0, [9]]]),
    "twice.json": lambda f: moves(f, [[0, [1]], [0, [1]]]),
    "double.json": lambda f: moves(f, [[0, [1, 1]]]),
    "none.json": lambda f: moves(f, [[0, []]]),
    "far.json": lambda f: moves(f, [[7, [1]]]),
    "version.json": lambda f: json.dumps({"version": 2, "partitions": [{"topic": f.name("moves"), "partition": 0, "replicas": [1]}]}),
    "elect.json": lambda f: json.dumps({"partitions": [{"topic": f.name("moves"), "partition": 1}]}),
    "elect-ghost.json": lambda f: json.dumps({"partitions": [{"topic": f.name("ghost"), "partition": 0}]}),
    "cut.json": lambda f: cuts(f, ("cut", 0, 4), ("cut", 1, -1)),
    "cut-far.json": lambda f: cuts(f, ("cut", 0, 999)),
    "cut-negative.json": lambda f: cuts(f, ("cut", 0, -2)),
    "cut-version.json": lambda f: cuts(f, ("cut", 0, 1), version=2),
    "cut-twice.json": lambda f: cuts(f, ("cut", 0, 1), ("cut", 0, 2)),
    "offsets.csv": lambda f: f"{f.name('sub')},0,3\n{f.name('sub')},1,1\n",
    "offsets-bad.csv": lambda f: f"{f.name('sub')},0\n",
}

TOPIC_CONFIGS = """
kafka-topics --create --topic @entity
kafka-configs --alter --topic @entity --add-config-file %retention.properties
kafka-configs --describe --topic @entity
kafka-configs --alter --topic @entity --delete-config retention.ms,max.message.bytes
kafka-configs --alter --topic @entity --add-config retention.ms=1,retention.ms=2
kafka-configs --alter --topic @entity --add-config cleanup.policy=[compact,nonsense]
kafka-configs --alter --topic @entity --add-config retention.ms=1 --delete-config flush.ms
kafka-configs --describe --topic @entity # after
kafka-configs --alter --topic @ghost --add-config retention.ms=1
kafka-configs --alter --entity-type topics --add-config retention.ms=1
kafka-configs --alter --topic @entity
kafka-configs --describe --entity-type topics --entity-name @entity --entity-name @entity
kafka-configs --describe --entity-type nonsense --entity-name @entity
kafka-configs --describe
"""

BROKER_CONFIGS = """
kafka-configs --alter --broker 1 --add-config log.cleaner.threads=2
kafka-configs --alter --broker-defaults --add-config log.cleaner.threads=3
kafka-configs --describe --broker 1 # two set
kafka-configs --describe --broker-defaults
kafka-configs --alter --broker 1 --delete-config log.cleaner.threads
kafka-configs --describe --broker 1 # one set
kafka-configs --alter --broker-defaults --delete-config log.cleaner.threads
kafka-configs --describe --broker 1 # none set
kafka-configs --alter --broker 1 --add-config log.cleaner.threads=0
kafka-configs --alter --broker 1 --add-config log.cleaner.threads=many
kafka-configs --alter --broker 1 --add-config log.cleaner.threads=9
kafka-configs --alter --broker 1 --add-config broker.id=7
kafka-configs --alter --broker 1 --add-config nonsense=7
kafka-configs --alter --broker 1 --delete-config nonsense
kafka-configs --alter --broker 1 --delete-config log.cleaner.threads # again
kafka-configs --describe --broker one
kafka-configs --alter --broker one --add-config log.cleaner.threads=2
kafka-configs --alter --entity-type broker-loggers --entity-name 1 --add-config nonsense=DEBUG
kafka-configs --alter --entity-type broker-loggers --entity-name 1 --add-config root=LOUD
kafka-configs --alter --entity-type broker-loggers --add-config root=INFO
kafka-configs --describe --entity-type broker-loggers
"""

QUOTAS = """
kafka-configs --alter --user @u --add-config producer_byte_rate=1024,consumer_byte_rate=2048
kafka-configs --describe --user @u
kafka-configs --alter --user @u --client @c --add-config request_percentage=50.5
kafka-configs --describe --user @u --client @c
kafka-configs --alter --client @c --add-config controller_mutation_rate=10
kafka-configs --describe --client @c
kafka-configs --describe --entity-type users --entity-name @u --entity-type clients
kafka-configs --alter --user @u --delete-config producer_byte_rate
kafka-configs --describe --user @u # after
kafka-configs --alter --user @u --delete-config producer_byte_rate # again
kafka-configs --alter --user @u --add-config producer_byte_rate=much
kafka-configs --alter --user @u --add-config producer_byte_rate=-1
kafka-configs --alter --user @u --add-config nonsense=1
kafka-configs --alter --client @c --add-config connection_creation_rate=1
kafka-configs --alter --client @c --add-config SCRAM-SHA-256=[password=x]
kafka-configs --alter --user @u --add-config-file %scram.properties
kafka-configs --describe --user @u # with credentials
kafka-configs --alter --user @u --add-config SCRAM-SHA-512=[iterations=8192,password=x]
kafka-configs --describe --user @u # with two
kafka-configs --alter --user @u --add-config SCRAM-SHA-512=[iterations=10,password=x]
kafka-configs --alter --user @u --add-config SCRAM-SHA-512=[iterations=20000,password=x]
kafka-configs --alter --user @u --add-config SCRAM-SHA-512=[nonsense]
kafka-configs --alter --user @u --add-config SCRAM-SHA-256=[password=x],producer_byte_rate=1
kafka-configs --alter --user @u --client @c --add-config SCRAM-SHA-256=[password=x]
kafka-configs --alter --user-defaults --add-config SCRAM-SHA-256=[password=x]
kafka-configs --alter --user @u --delete-config SCRAM-SHA-256,SCRAM-SHA-512
kafka-configs --alter --user @u --delete-config SCRAM-SHA-256
kafka-configs --describe --user @u # in the end
kafka-configs --describe --user @nobody
kafka-configs --alter --ip 10.1.2.3 --add-config connection_creation_rate=7
kafka-configs --describe --ip 10.1.2.3
kafka-configs --alter --ip 10.1.2.3 --delete-config connection_creation_rate
kafka-configs --describe --ip 10.1.2.3 # after
kafka-configs --alter --ip 10.1.2.3 --add-config producer_byte_rate=7
kafka-configs --alter --ip 10.1.2.3 --add-config connection_creation_rate=0.5
kafka-configs --alter --ip no.such.host.invalid --add-config connection_creation_rate=7
kafka-configs --alter --ip 10.1.2.3 --user @u --add-config connection_creation_rate=7
kafka-configs --alter --user @u --client @c --delete-config request_percentage
kafka-configs --alter --user @u --delete-config consumer_byte_rate
kafka-configs --alter --client @c --delete-config controller_mutation_rate
"""

GROUP_CONFIGS = """
kafka-configs --alter --group @cfg --add-config consumer.session.timeout.ms=50000,consumer.heartbeat.interval.ms=6000
kafka-configs --describe --group @cfg
kafka-configs --describe --group @cfg --all
kafka-configs --alter --group @cfg --delete-config consumer.session.timeout.ms
kafka-configs --describe --group @cfg # after
kafka-configs --alter --group @cfg --add-config consumer.session.timeout.ms=1
kafka-configs --alter --group @cfg --add-config consumer.heartbeat.interval.ms=50000
kafka-configs --alter --group @cfg --add-config nonsense=1
kafka-configs --alter --entity-type groups --add-config consumer.session.timeout.ms=50000
kafka-configs --describe --group @nobody
kafka-configs --alter --entity-type client-metrics --entity-name @cm --add-config interval.ms=1000,metrics=[a,b]
kafka-configs --describe --client-metrics @cm
kafka-configs --alter --entity-type client-metrics --entity-name @cm --add-config interval.ms=1
kafka-configs --alter --entity-type client-metrics --entity-name @cm --add-config match=[nonsense=1]
kafka-configs --alter --entity-type client-metrics --entity-name @cm --add-config nonsense=1
kafka-configs --alter --entity-type client-metrics --entity-name @cm --delete-config interval.ms
kafka-configs --describe --client-metrics @cm # after
kafka-client-metrics --describe --name @cm
kafka-client-metrics --alter --name @cm2 --interval 5000 --metrics org.apache.kafka.consumer. --match client_id=x,client_software_name=y
kafka-client-metrics --describe --name @cm2
kafka-client-metrics --alter --name @cm2 --interval 1
kafka-client-metrics --alter --name @cm2 --match nonsense=x
kafka-client-metrics --alter --name @cm2
kafka-client-metrics --alter --generate-name --name @cm2 --interval 5000
kafka-client-metrics --delete --name @cm2
kafka-client-metrics --describe --name @cm2 # after
kafka-client-metrics --delete --name @cm2 # again
kafka-client-metrics --delete
kafka-client-metrics --delete --name @cm
"""

CLUSTER = """
kafka-cluster list-endpoints
kafka-cluster list-endpoints --include-fenced-brokers
kafka-cluster unregister --id 99
kafka-cluster unregister
kafka-cluster nonsense
kafka-features describe
kafka-features upgrade --release-version 4.3
kafka-features upgrade --release-version 9.9
kafka-features upgrade --feature metadata.version=99
kafka-features upgrade --feature nonsense=1
kafka-features upgrade --feature group.version=1
kafka-features upgrade --feature group.version
kafka-features upgrade --feature transaction.version=2 --dry-run
kafka-features upgrade --feature eligible.leader.replicas.version=9
kafka-features downgrade --feature metadata.version=7
kafka-features downgrade --feature transaction.version=2
kafka-features downgrade --feature nonsense=1
kafka-features disable --feature metadata.version
kafka-features disable --feature nonsense
kafka-features upgrade
kafka-metadata-quorum describe --status
kafka-metadata-quorum describe --replication
kafka-metadata-quorum describe --re --hr
kafka-metadata-quorum describe
kafka-metadata-quorum remove-controller --controller-id 9 --controller-directory-id nonsense
kafka-acls --list
kafka-acls --list --topic @t
kafka-acls --add --allow-principal User:a --operation Read --topic @t
kafka-acls --remove --allow-principal User:a --operation Read --topic @t --force
kafka-acls --add --operation Read --topic @t
kafka-delegation-tokens --create --max-life-time-period -1 --command-config %none.properties
kafka-delegation-tokens --describe --command-config %none.properties
kafka-delegation-tokens --renew --renew-time-period -1 --hmac YWJj --command-config %none.properties
kafka-delegation-tokens --expire --expiry-time-period -1 --hmac YWJj --command-config %none.properties
kafka-delegation-tokens --create
"""

MOVES = """
kafka-topics --create --topic @moves --partitions 2
kafka-reassign-partitions --generate --topics-to-move-json-file %topics.json --broker-list 1
kafka-reassign-partitions --generate --topics-to-move-json-file %topics.json --broker-list 1,9
kafka-reassign-partitions --generate --topics-to-move-json-file %topics.json --broker-list 1,1
kafka-reassign-partitions --generate --topics-to-move-json-file %no-topics.json --broker-list 1
kafka-reassign-partitions --generate --topics-to-move-json-file %broken.json --broker-list 1
kafka-reassign-partitions --generate --topics-to-move-json-file %topics.json
kafka-reassign-partitions --execute --reassignment-json-file %here.json
kafka-reassign-partitions --verify --reassignment-json-file %here.json
kafka-reassign-partitions --cancel --reassignment-json-file %here.json
kafka-reassign-partitions --list
kafka-reassign-partitions --execute --reassignment-json-file %nobody.json
kafka-reassign-partitions --execute --reassignment-json-file %twice.json
kafka-reassign-partitions --execute --reassignment-json-file %double.json
kafka-reassign-partitions --execute --reassignment-json-file %none.json
kafka-reassign-partitions --execute --reassignment-json-file %far.json
kafka-reassign-partitions --verify --reassignment-json-file %far.json
kafka-reassign-partitions --execute --reassignment-json-file %version.json
kafka-reassign-partitions --execute --reassignment-json-file %empty.json
kafka-reassign-partitions --execute --reassignment-json-file %broken.json
kafka-reassign-partitions --execute
kafka-leader-election --election-type preferred --topic @moves --partition 0
kafka-leader-election --election-type unclean --topic @moves --partition 0
kafka-leader-election --election-type preferred --topic @moves --partition 9
kafka-leader-election --election-type preferred --topic @ghost --partition 0
kafka-leader-election --election-type preferred --path-to-json-file %elect.json
kafka-leader-election --election-type unclean --path-to-json-file %elect-ghost.json
kafka-leader-election --election-type preferred --path-to-json-file %broken.json
kafka-leader-election --election-type preferred --path-to-json-file %empty.json
kafka-leader-election --election-type nonsense --topic @moves --partition 0
kafka-leader-election --election-type preferred --topic @moves
kafka-leader-election --election-type preferred
kafka-leader-election --topic @moves --partition 0
kafka-leader-election --election-type preferred --all-topic-partitions --topic @moves --partition 0
kafka-log-dirs --describe --broker-list 9
kafka-log-dirs --describe --broker-list 1 --topic-list @ghost
kafka-log-dirs --describe --broker-list one
kafka-log-dirs --topic-list @moves
"""

RECORDS = """
kafka-topics --create --topic @cut --partitions 2 --config retention.ms=-1
kafka-get-offsets --topic @cut # empty
kafka-get-offsets --topic @cut --time max-timestamp # empty
kafka-get-offsets --topic @cut --time earliest # empty
$ kafka-console-producer --topic @cut --reader-property parse.key=true --reader-property key.separator=:
kafka-get-offsets --topic @cut
kafka-get-offsets --topic @cut --time latest
kafka-get-offsets --topic @cut --time -1
kafka-get-offsets --topic @cut --time earliest
kafka-get-offsets --topic @cut --time -2
kafka-get-offsets --topic @cut --time earliest-local
kafka-get-offsets --topic @cut --time -4
kafka-get-offsets --topic @cut --time latest-tiered
kafka-get-offsets --topic @cut --time -5
kafka-get-offsets --topic @cut --time earliest-pending-upload
kafka-get-offsets --topic @cut --time -6
kafka-get-offsets --topic @cut --time -7
kafka-get-offsets --topic @cut --time 1
kafka-get-offsets --topic @cut --time 4000000000000
kafka-get-offsets --topic @cut --time soon
kafka-get-offsets --topic @cut --partitions 0,1
kafka-get-offsets --topic @cut --partitions 9
kafka-get-offsets --topic @cut --partitions x
kafka-get-offsets --topic @c.t
kafka-get-offsets --topic-partitions @cut:1
kafka-get-offsets --topic-partitions @cut:0-1
kafka-get-offsets --topic-partitions @cut:1-
kafka-get-offsets --topic-partitions @cut:-1
kafka-get-offsets --topic-partitions @c.t,@ghost:0
kafka-get-offsets --topic-partitions @ghost:0
kafka-get-offsets --topic-partitions @cut:0 --topic @cut
kafka-get-offsets --topic-partitions @cut:x
kafka-get-offsets --topic __consumer_offsets --partitions 0 --exclude-internal-topics
kafka-delete-records --offset-json-file %cut.json
kafka-get-offsets --topic @cut --time earliest # after
kafka-get-offsets --topic @cut --time earliest-local # after
kafka-delete-records --offset-json-file %cut.json # again
kafka-delete-records --offset-json-file %cut-far.json
kafka-delete-records --offset-json-file %cut-negative.json
kafka-delete-records --offset-json-file %cut-version.json
kafka-delete-records --offset-json-file %cut-twice.json
kafka-delete-records --offset-json-file %broken.json
kafka-delete-records --offset-json-file %empty.json
kafka-delete-records --offset-json-file /no/such/file
kafka-delete-records
"""

SUBCOMMANDS = """
kafka-topics --create --topic @sub --partitions 2 --config retention.ms=-1
$ kafka-console-producer --topic @sub --reader-property parse.key=true --reader-property key.separator=:
kafka-consumer-groups --reset-offsets --group @sub1 --topic @sub --to-earliest --execute
kafka-consumer-groups --reset-offsets --group @sub2 --topic @sub --to-latest --execute
kafka-consumer-groups --reset-offsets --group @sub1 --topic @sub:0,1 --to-offset 2 --execute
kafka-consumer-groups --reset-offsets --group @sub1 --topic @sub --to-current --execute
kafka-consumer-groups --reset-offsets --group @sub1 --topic @sub --to-current --dry-run --export
kafka-consumer-groups --reset-offsets --group @sub1 --topic @sub --by-duration PT1H --execute
kafka-consumer-groups --reset-offsets --group @sub1 --topic @sub --by-duration nonsense --execute
kafka-consumer-groups --reset-offsets --group @sub1 --topic @sub --to-datetime 2099-01-01T00:00:00.000 --execute
kafka-consumer-groups --reset-offsets --group @sub1 --topic @sub --to-datetime nonsense --execute
kafka-consumer-groups --reset-offsets --group @sub1 --from-file %offsets.csv --execute
kafka-consumer-groups --reset-offsets --group @sub1 --from-file %offsets-bad.csv --execute
kafka-consumer-groups --reset-offsets --group @sub1 --all-topics --shift-by 1 --dry-run
kafka-consumer-groups --reset-offsets --group @sub1 --group @sub2 --all-topics --to-earliest --export --dry-run
kafka-consumer-groups --reset-offsets --group @sub1 --topic @sub:9 --to-earliest --execute
kafka-consumer-groups --reset-offsets --group @sub1 --topic @sub --execute
kafka-consumer-groups --reset-offsets --group @sub1 --to-earliest --execute
kafka-consumer-groups --reset-offsets --group @sub1 --topic @sub --to-earliest --to-latest --execute
kafka-consumer-groups --reset-offsets --group @sub1 --topic @sub --to-offset -1 --execute
kafka-consumer-groups --reset-offsets --group @sub1 --topic @sub --to-earliest --dry-run --execute
kafka-consumer-groups --describe --group @sub1
kafka-consumer-groups --describe --group @sub1 --group @sub2 --offsets
kafka-consumer-groups --describe --group @sub1 --verbose
kafka-consumer-groups --describe --group @sub1 --state
kafka-consumer-groups --describe --group @sub1 --members
kafka-consumer-groups --describe --group @sub1 --members --state
kafka-consumer-groups --describe --group @nobody --members
kafka-consumer-groups --describe --group @nobody --state
kafka-consumer-groups --describe
kafka-consumer-groups --list --state Nonsense
kafka-consumer-groups --list --describe
kafka-consumer-groups --delete-offsets --group @sub1 --topic @sub:0
kafka-consumer-groups --delete-offsets --group @sub1 --topic @sub:9
kafka-consumer-groups --delete-offsets --group @sub1 --topic @ghost
kafka-consumer-groups --delete-offsets --group @nobody --topic @sub
kafka-consumer-groups --delete-offsets --group @sub1
kafka-consumer-groups --describe --group @sub1 # after
kafka-consumer-groups --delete --group @sub1 --group @nobody
kafka-consumer-groups --delete --group @sub2
kafka-consumer-groups --delete --group @sub2 # again
kafka-consumer-groups --delete
kafka-groups --list --consumer --share
kafka-groups --list --group-type nonsense
kafka-groups --describe
"""


def moves(f, partitions):
    return json.dumps({"version": 1, "partitions": [{"topic": f.name("moves"), "partition": p, "replicas": r} for p, r in partitions]})


def cuts(f, *offsets, version=1):
    return json.dumps({"version": version, "partitions": [{"topic": f.name(t), "partition": p, "offset": o} for t, p, o in offsets]})


def each(f, commands, shown=lambda line: line):
    """Tells what each command line says; a line that starts with $ gets twelve keyed records to read."""
    for line in filter(None, commands.splitlines()):
        words = line.split(" # ")[0].split()
        text = ""
        if words[0] == "$":
            words.pop(0)
            text = "".join(f"d-{i:02}:v{i}\n" for i in range(12))
        words = [f.file(word[1:], FILES[word[1:]](f)) if word.startswith("%") else re.sub(r"@(?=\w)", f.prefix, word) for word in words]
        code, lines, errors = f.run(*words, text=text)
        f.say(line, [code, [shown(line) for line in lines], errors])
        if not {"--alter", "--create", "--delete", "--execute", "--add"}.isdisjoint(words):
            # Kafka's controller answers before the broker knows.
            time.sleep(SETTLE_S)


def entities(f):
    each(f, TOPIC_CONFIGS + GROUP_CONFIGS)


def broker_entities(f):
    each(f, BROKER_CONFIGS)


def quotas(f):
    each(f, QUOTAS)


def cluster(f):
    code, lines, errors = f.run("kafka-cluster", "cluster-id")
    f.say("kafka-cluster cluster-id", [code, [re.sub(r"\S{22}$", "ID", line) for line in lines], errors])
    def shown(line):
        line = re.sub(r"(?<![\w-])[\w-]{22}(?![\w-])", "ID", line)
        return re.sub(r"(?<=Epoch: )\d+|(?<=HighWatermark: )\d+|(?<=ID )\d+ 0|(?<=127.0.0.1:)\d{5}", "N", line)
    each(f, CLUSTER, shown)


def reassignments(f):
    each(f, MOVES)


def offsets(f):
    each(f, RECORDS)


def subcommands(f):
    each(f, SUBCOMMANDS)
    f.run("kafka-consumer-groups", "--reset-offsets", "--group", f.name("listed"), "--topic", f.name("sub"), "--to-earliest", "--execute")
    for words in ([], ["--consumer"], ["--share"], ["--group-type", "classic"], ["--protocol", "anything"], ["--group-type", "consumer"]):
        code, lines, errors = f.run("kafka-groups", "--list", *words)
        f.say(" ".join(["kafka-groups --list", *words]), [code, [line for line in lines if f.name("listed") in line or line.startswith("GROUP")], errors])
    code, lines, errors = f.run("kafka-consumer-groups", "--describe", "--all-groups", "--offsets")
    f.say("kafka-consumer-groups --describe --all-groups", [code, [line for line in lines if line.startswith(f.name("listed"))]])


def hanging_more(f, tell_txn):
    """How `kafka-transactions` refuses."""
    tell_txn("txn abort at no such offset", "abort", "--topic", "@open", "--partition", "0", "--start-offset", "77")
    tell_txn("txn abort without an offset", "abort", "--topic", "@open", "--partition", "0")
    tell_txn("txn abort by an unknown producer", "abort", "--topic", "@open", "--partition", "0", "--producer-id", "987654", "--producer-epoch", "0", "--coordinator-epoch", "0")
    tell_txn("txn producers of a broker", "describe-producers", "--broker-id", "1", "--topic", "@open", "--partition", "0")
    tell_txn("txn hanging of a broker", "find-hanging", "--broker-id", "1", "--topic", "@open", "--partition", "0")
    tell_txn("txn hanging of no such topic", "find-hanging", "--topic", "@ghost")
    tell_txn("txn hanging of nobody", "find-hanging")
    tell_txn("txn list by a wrong age", "list", "--duration-filter", "soon")
    tell_txn("txn describe nobody", "describe")
    tell_txn("txn nonsense", "nonsense")
