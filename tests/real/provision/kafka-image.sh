#!/usr/bin/env bash
# Builds a local stand-in for the official apache/kafka image, which can't be pulled here: same name, same
# entry point (/etc/kafka/docker/run), same KAFKA_* environment (through Kafka's own KafkaDockerWrapper), same /opt/kafka/bin.
# usage: kafka-image.sh KAFKA_HOME [VERSION]   needs: root, debootstrap, a running Docker Engine
set -euo pipefail
home=$1; version=${2:-4.3.1}; image=apache/kafka:$version
docker image inspect "$image" >/dev/null 2>&1 && { echo "$image"; exit 0; }
command -v debootstrap >/dev/null || { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq debootstrap >&2; }
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Suite: bookworm' 2>/dev/null | sort -u | head -1)
[ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | sort -u | head -1)
root=$(mktemp -d); trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include=openjdk-17-jre-headless,ca-certificates,procps bookworm "$root" "$mirror" >&2
rm -rf "$root"/var/cache/apt/archives/*.deb
mkdir -p "$root"/opt/kafka/config "$root"/etc/kafka/docker "$root"/mnt/shared/config
cp -r "$home/libs" "$home/bin" "$root/opt/kafka/"
cp "$home/config/log4j2.yaml" "$root/etc/kafka/docker/log4j2.yaml"; cp "$home/config/log4j2.yaml" "$root/etc/kafka/docker/tools-log4j2.yaml"
sed -i 's/"${env:[^"]*}"/INFO/' "$root"/etc/kafka/docker/*.yaml
cat > "$root/etc/kafka/docker/server.properties" <<'X'
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
advertised.listeners=PLAINTEXT://localhost:9092
controller.listener.names=CONTROLLER
log.dirs=/tmp/kraft-combined-logs
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
X
cat > "$root/etc/kafka/docker/run" <<'X'
#!/usr/bin/env bash
set -eu
export CLUSTER_ID="${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}"
# As the official image: data of an earlier container is no error.
said=$(java -cp '/opt/kafka/libs/*' kafka.docker.KafkaDockerWrapper setup --default-configs-dir /etc/kafka/docker --mounted-configs-dir /mnt/shared/config --final-configs-dir /opt/kafka/config 2>&1) ||
  grep -qi 'already formatted' <<<"$said" || { echo "$said"; exit 1; }
exec java ${KAFKA_HEAP_OPTS:--Xmx512m -Xms256m} -cp '/opt/kafka/libs/*' -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.yaml kafka.Kafka /opt/kafka/config/server.properties
X
chmod +x "$root/etc/kafka/docker/run"
tar -C "$root" -c . | docker import -c 'ENTRYPOINT ["/etc/kafka/docker/run"]' -c 'EXPOSE 9092' -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$image" >&2
echo "$image"
