#!/usr/bin/env bash
# Runs docker-compose.yml and deploy/compose/ha.yml for real, with a Docker engine of its own that is gone afterwards:
#
#   deploy/test-compose.sh [FOLDER OF OUR PROGRAMS] [single|ha]...
#
# Needs root and Debian or Ubuntu. No registry is asked: the base images are made here with debootstrap, under names of their own, and our
# programs are copied in. So it does not try that the pinned images can be pulled, that they do what ours in their place do, and that the
# programs can be built in one of them.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
trap 'echo "test-compose: line $LINENO of ${BASH_SOURCE[0]}: $BASH_COMMAND" >&2' ERR

[ "$(id -u)" = 0 ] && [ -c /dev/net/tun ] || { echo "test-compose needs root and /dev/net/tun" >&2 && exit 1; }
services/testbed/prerequisites.sh --containers
nats_server=$(services/testbed/prerequisites.sh --nats-server)

home=$(realpath --no-symlinks "${CARGO_TARGET_DIR:-target}")/compose
binaries=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/debug}")
shift || true
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
nodes=5
engine=
project=vpnmanager-test
export DOCKER_HOST=unix://$home/docker.sock COMPOSE_PROJECT_NAME=$project COMPOSE_HTTP_TIMEOUT=180
# Not those of a fleet that may run here.
export API_PORT=18080 NODE_PORTS=18081-18100 VPN_UDP_PORTS=21194-21213 VPN_TCP_PORTS=28443-28462
API_KEY=$(openssl rand -hex 32) DB_PASSWORD=$(openssl rand -hex 32) REPLICATION_PASSWORD=$(openssl rand -hex 32)
export API_KEY DB_PASSWORD REPLICATION_PASSWORD JOIN_TOKENS=$nodes

say() { printf '== %4ds %s\n' "$SECONDS" "$*"; }

# quietly COMMAND...: its output only where something goes wrong.
quietly() { "$@" >"$home/output" 2>&1 || { cat "$home/output" >&2 && return 1; }; }

# wait_until SECONDS WHAT COMMAND...
wait_until() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$end" ]; then echo "waited for $what in vain" >&2 && return 1; fi
        sleep 0.2
    done
}

if docker compose version >/dev/null 2>&1; then compose_program=(docker compose); else compose_program=(docker-compose); fi

# Not with an .env of the operator's. What is exported here comes first.
compose() { "${compose_program[@]}" --env-file "$PWD/.env.example" --file "$file" "$@"; }

# With the images that were made here.
up() { quietly compose up --detach --no-build --scale "endnode=$nodes"; }

. deploy/test-compose/engine.sh
. deploy/test-compose/images.sh
. deploy/test-compose/fleet.sh

# What a container must not be able to do, or know.
check_confinement() {
    local node management=$1
    for node in $(docker ps --quiet --filter label=com.docker.compose.service=endnode); do
        if docker inspect --format '{{.Config.Env}}' "$node" | grep -q "$API_KEY"; then echo "a node has the operator's key" >&2 && return 1; fi
        if docker exec "$node" touch /etc/written 2>/dev/null; then echo "a node can write its root file system" >&2 && return 1; fi
    done
    [ "$(docker exec "$management" id --user)" = 10001 ]
    if docker exec "$management" touch /etc/written 2>/dev/null; then echo "management can write its root file system" >&2 && return 1; fi
    [ "$(api GET "/api/join-tokens?state=used" | of_json "len(d['items'])")" = "$nodes" ]
    say "the operator's key is on no node, each has used a join token of its own, root file systems are read-only, management is user 10001"
}

# holds_tunnel NAME WHAT COMMAND...: the command takes no tunnel down.
holds_tunnel() {
    local name=$1 what=$2 since silence
    shift 2
    since=$(date +%s.%N)
    "$@"
    silence=$(longest_silence "$name" "$since")
    awk -v silence="$silence" 'BEGIN { exit !(silence < 1) }' || { echo "the tunnel was silent for $silence s" >&2 && return 1; }
    say "$what; the longest silence in a tunnel meanwhile was $silence s"
}

# follows NAME SINCE: her pings are answered again.
follows() { awk -v now="$(date +%s.%N)" -v last="$(replies "$1" | tail -n 1)" -v since="$2" 'BEGIN { exit !(last > since && now - last < 1) }'; }

home_of() { api GET "/api/users/$1" | of_json "d['server_id']"; }

# number_of NODE: of its container.
number_of() {
    local number
    for number in $(seq "$nodes"); do
        if [ "$(docker exec "$(container endnode "$number")" cat /var/lib/vpnmanager/endnode/server-id)" = "$1" ]; then echo "$number"; fi
    done
}

# A node of deploy/compose/node.yml, beside those of the fleet, which are not touched.
test_node() (
    JOIN_TOKEN_FILE=$home/profiles/join-token
    (umask 077; api POST /api/join-tokens '{"server_id": "alone", "ttl": "10m"}' | of_json "d['token']" >"$JOIN_TOKEN_FILE")
    export JOIN_TOKEN_FILE SERVER_ID=alone MANAGEMENT_URL=http://management:8080 ALLOW_PLAIN_HTTP=true PUBLIC_HOST=192.0.2.1 VPN_BIND=127.0.0.1
    export NODE_UDP_PORT=21193 NODE_TCP_PORT=28441
    quietly compose --file deploy/compose/node.yml up --detach --no-build --no-deps node
    wait_until 60 "the node" is_listed alone 192.0.2.1
    say "deploy/compose/node.yml: a node enrolled with a token that it was given as a secret"
    quietly compose --file deploy/compose/node.yml rm --force --stop -v node
)

end() {
    docker rm --force client-steady >/dev/null 2>&1 || true
    quietly compose down --volumes
    [ -z "$(docker ps --all --quiet)" ] && [ -z "$(docker network ls --quiet --filter type=custom)" ]
    say "\`down --volumes\` has left no container and no network"
}

test_single() {
    file=docker-compose.yml
    local before since number
    say "docker-compose.yml with $nodes nodes"
    up
    wait_until 90 "$nodes healthy nodes" are_healthy "$nodes"
    before=$(healthy_nodes)
    say "up: $(tr '\n' ',' <<<"$before" | sed 's/,$//; s/,/, /g')"
    check_confinement "$(container management)"
    main_job anna

    create_user steady
    connect_user steady
    start_pings steady
    wait_until 30 "pings of steady" has_replies steady 20
    holds_tunnel steady "postgres was killed and came back" crash postgres
    holds_tunnel steady "nats was killed and came back" crash nats
    holds_tunnel steady "management was killed and came back" crash management
    number=$(number_of "$(home_of steady)")
    since=$(date +%s.%N)
    crash endnode "$number"
    wait_until 60 "the client to go on" follows steady "$since"
    say "a client's node was killed and came back; the client went on after $(longest_silence steady "$since") s"
    wait_until 90 "the same nodes" are_these "$before"
    main_job berta

    stop_engine
    start_engine
    wait_until 180 "the same nodes" are_these "$before"
    say "the engine was restarted: the same nodes, at the same addresses"
    connect_user steady
    main_job clara

    build_ours test-2
    up
    wait_until 180 "the same nodes" are_these "$before"
    [ "$(docker inspect --format '{{index .Config.Labels "org.opencontainers.image.version"}}' "$(container endnode 1)")" = test-2 ]
    say "upgraded to another image: the same nodes, at the same addresses"
    connect_user steady
    main_job dora
    test_node
    end
}

# Takes the place of the primary that is lost, as docs/containers.md says.
promote_standby() {
    local lost
    lost=$(container postgres-1)
    docker rm --force "$lost" >/dev/null
    docker volume rm "${project}_postgres-1" >/dev/null
    docker exec "$(container postgres-2)" psql --username vpnmanager --command "SELECT pg_promote()" >/dev/null
}

standbys() { docker exec "$1" psql --username vpnmanager --tuples-only --no-align --command "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"; }

has_standby() { [ "$(standbys "$1")" = 1 ]; }

test_ha() {
    file=deploy/compose/ha.yml
    local part
    say "deploy/compose/ha.yml with $nodes nodes"
    up
    wait_until 120 "$nodes healthy nodes" are_healthy "$nodes"
    wait_until 30 "a standby" has_standby "$(container postgres-1)"
    say "up: $nodes healthy nodes, three servers of the bus, two managements, PostgreSQL with a standby"
    check_confinement "$(container management-1)"
    main_job anna

    create_user steady
    connect_user steady
    start_pings steady
    wait_until 30 "pings of steady" has_replies steady 20
    for part in nats-1 nats-2 nats-3 management-1 management-2; do
        holds_tunnel steady "$part is lost" lose "$part"
        main_job "without-$part"
        bring_back "$part"
    done
    holds_tunnel steady "the proxy was killed and came back" crash proxy
    main_job berta
    holds_tunnel steady "postgres-1 is lost, postgres-2 was promoted" promote_standby
    wait_until 60 "$nodes healthy nodes" are_healthy "$nodes"
    main_job clara
    up
    wait_until 120 "a standby" has_standby "$(container postgres-2)"
    say "postgres-1 was made anew and follows postgres-2"
    main_job dora
    end
}

mkdir -p "$home/profiles"
exec 9>"$home/lock"
flock --nonblock 9 || { echo "another run uses $home" >&2 && exit 1; }
rm -f "$home/docker.pid"
trap clean_up EXIT
start_engine
say "Docker $(docker version --format '{{.Server.Version}}'), $("${compose_program[@]}" version --short) of Compose, programs of $("$binaries/vpnmanager-management" --version)"
make_images
say "images built"
[ $# -gt 0 ] || set -- single ha
for part in "$@"; do
    "test_$part"
    docker volume prune --force >/dev/null
done
say "all passed"
