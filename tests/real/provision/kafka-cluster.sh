#!/usr/bin/env bash
# Several brokers of one Apache Kafka on loopback, node 1 the controller too; each can be stopped, killed and started.
# usage: kafka-cluster.sh DIR up KAFKA_HOME [BROKERS [NAME=VALUE …]]   starts it, prints bootstrap.servers
#        kafka-cluster.sh DIR stop|kill|start ID                       the controlled way, kill -9, again
#        kafka-cluster.sh DIR down                                     ends all of it
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd)
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
started() { # started ID: runs it and waits until its port answers
  local pid port
  KAFKA_HEAP_OPTS="-Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1" \
    nohup "$(cat "$dir/home")/bin/kafka-broker.sh" "$dir/$1.properties" >>"$dir/$1.log" 2>&1 </dev/null &
  pid=$!
  echo "$pid" >"$dir/$1.pid"
  port=$(cat "$dir/$1.port")
  for _ in $(seq 600); do
    answers "$port" && return 0
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.2
  done
  tail -20 "$dir/$1.log" >&2
  return 1
}
ended() { # ended ID SIGNAL: and waits until it is gone
  local pid
  pid=$(cat "$dir/$1.pid")
  kill "$2" "$pid" 2>/dev/null || return 0
  for _ in $(seq 600); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.1; done
  kill -KILL "$pid"
}
case $2 in
up)
  count=${4:-3}
  echo "$3" >"$dir/home"
  read -r -a ports <<<"$(python3 - "$count" <<'P'
import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]) + 1)]
print(*[s.getsockname()[1] for s in held])
P
)"
  controller=${ports[count]}
  ports=("${ports[@]:0:count}")
  starting=()
  for id in $(seq "$count"); do
    port=${ports[id - 1]} roles=broker listeners="PLAINTEXT://127.0.0.1:${ports[id - 1]}"
    [ "$id" -gt 1 ] || roles=broker,controller listeners="$listeners,CONTROLLER://127.0.0.1:$controller"
    echo "$port" >"$dir/$id.port"
    cat >"$dir/$id.properties" <<P
process.roles=$roles
node.id=$id
controller.quorum.voters=1@127.0.0.1:$controller
listeners=$listeners
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
log.dirs=$dir/data-$id
group.initial.rebalance.delay.ms=0
P
    printf '%s\n' "${@:5}" >>"$dir/$id.properties"
    starting+=("$id")
  done
  waiting=()
  for id in "${starting[@]}"; do started "$id" & waiting+=($!); done
  for pid in "${waiting[@]}"; do wait "$pid"; done
  printf '127.0.0.1:%s,' "${ports[@]}" | sed 's/,$//'
  ;;
stop) ended "$3" -TERM ;;
kill) ended "$3" -KILL ;;
start) started "$3" ;;
down) for pid in "$dir"/*.pid; do pid=${pid##*/}; ended "${pid%.pid}" -TERM & done; wait ;;
*) echo "unknown: $2" >&2 && exit 2 ;;
esac
