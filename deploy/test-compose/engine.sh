# A Docker engine of our own: nothing of it is seen by one that may run beside it, and no rule of this machine's firewall is touched. Sourced
# by deploy/test-compose.sh.

start_engine() {
    # No bridge of its own: images are built in the network of the host.
    dockerd --data-root "$home/data" --exec-root "$home/exec" --host "$DOCKER_HOST" --pidfile "$home/docker.pid" \
        --containerd-namespace vpnmanager-compose --containerd-plugins-namespace vpnmanager-compose-plugins \
        --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false >>"$home/dockerd.log" 2>&1 9>&- &
    engine=$!
    wait_until 60 "the Docker engine" docker version
}

# Ends it as a shutdown of the machine does; its containers end with it.
stop_engine() {
    [ -n "$engine" ] || return 0
    kill "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
    engine=
}

# Everything that this run made: containers, networks, the engine, its mounts, its folders. Images of others are kept as archives.
clean_up() {
    local status=$? ids mount
    trap - EXIT ERR
    if [ "$status" != 0 ] && [ -n "$engine" ]; then explain; fi
    if [ -n "$engine" ]; then
        mapfile -t ids < <(docker ps --all --quiet)
        [ "${#ids[@]}" -eq 0 ] || docker rm --force --volumes "${ids[@]}" >/dev/null 2>&1 || true
        docker network prune --force >/dev/null 2>&1 || true
    fi
    stop_engine
    while read -r mount; do umount "$mount" 2>/dev/null || true; done < <(findmnt --raw --noheadings --output TARGET | grep "^$home/" | sort -r)
    rm -rf --one-file-system "$home/data" "$home/exec" "$home/context" "$home/profiles"
    exit "$status"
}

# What somebody needs who looks at a failed run.
explain() {
    echo "== test-compose: FAILED; containers and the end of their logs follow" >&2
    docker ps --all --format '{{.Names}}: {{.Status}}' >&2 || true
    local name
    for name in $(docker ps --all --format '{{.Names}}'); do
        echo "-- $name" >&2
        docker logs --tail 25 "$name" >&2 2>&1 || true
    done
}

# container SERVICE [NUMBER]: its id.
container() {
    docker ps --all --quiet --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$1" \
        --filter "label=com.docker.compose.container-number=${2:-1}" --filter label=com.docker.compose.oneoff=False
}

started_at() { docker inspect --format '{{.State.StartedAt}}' "$1"; }

is_healthy() { [ "$(docker inspect --format '{{.State.Health.Status}}' "$1")" = healthy ]; }

started_again() { [ "$(started_at "$1")" != "$2" ] && is_healthy "$1"; }

# crash SERVICE [NUMBER]: its first process is killed, as by a crash, and Docker starts it again.
crash() {
    local id before
    id=$(container "$@")
    before=$(started_at "$id")
    kill -KILL "$(docker inspect --format '{{.State.Pid}}' "$id")"
    wait_until 90 "$1 to be started again" started_again "$id" "$before"
}

# lose SERVICE [NUMBER]: killed, and not started again.
lose() { docker kill "$(container "$@")" >/dev/null; }

# bring_back SERVICE [NUMBER]
bring_back() {
    local id
    id=$(container "$@")
    docker start "$id" >/dev/null
    wait_until 90 "$1 to be healthy" is_healthy "$id"
}
