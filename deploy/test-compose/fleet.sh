# What is done with a fleet that runs: requests, clients, the main job. Sourced by deploy/test-compose.sh.

# api METHOD PATH [BODY]
api() {
    local body=()
    [ -z "${3:-}" ] || body=(--header "Content-Type: application/json" --data "$3")
    curl --silent --show-error --fail-with-body --max-time 70 --request "$1" --header "X-API-Key: $API_KEY" "${body[@]}" \
        "http://127.0.0.1:$API_PORT$2"
}

# of_json EXPRESSION: what this expression of Python makes of the document `d`.
of_json() { python3 -c "import json, sys; d = json.load(sys.stdin); print($1)"; }

healthy_nodes() { api GET "/api/endnodes?limit=100" | of_json "'\n'.join(sorted(n['server_id'] + ' ' + n['host'] for n in d['items'] if n['state'] == 'healthy'))"; }

are_healthy() { [ "$(healthy_nodes | grep -c .)" = "$1" ]; }

# is_listed NODE HOST
is_listed() { healthy_nodes | grep -q "^$1 $2\$"; }

are_these() { [ "$(healthy_nodes)" = "$1" ]; }

# start_client NAME: an OpenVPN client in a container, in the network of the nodes.
start_client() {
    docker rm --force "client-$1" >/dev/null 2>&1 || true
    quietly docker run --detach --init --name "client-$1" --network "${project}_default" --cap-add NET_ADMIN --device /dev/net/tun \
        --volume "$home/profiles/$1.ovpn:/profile.ovpn:ro" vpnmanager-test/client openvpn --config /profile.ovpn
}

# The node, in the tunnel: the first address of the part of the pool that the first listener has.
is_connected() { docker exec "client-$1" ping -c 1 -W 1 10.8.0.1; }

start_pings() { docker exec --detach "client-$1" sh -c 'exec stdbuf --output=L ping -D -i 0.05 10.8.0.1 >/tmp/pings'; }

# Of what ping printed: when each reply came, in seconds.
reply_times() { sed -n 's/^\[\([0-9.]*\)\].*icmp_seq.*time=.*/\1/p'; }

replies() { docker exec "client-$1" cat /tmp/pings | reply_times; }

has_replies() { [ "$(replies "$1" | wc -l)" -ge "$2" ]; }

# longest_silence NAME SINCE: between two replies, in seconds, to this moment.
longest_silence() {
    { replies "$1"; date +%s.%N; } | awk -v since="$2" '$1 >= since && last { gap = $1 - last; if (gap > most) most = gap } { last = $1 } END { printf "%.2f", most }'
}

# is_cut NAME SINCE: no reply for 2 s, or the client has ended, as one does that was told to stop.
is_cut() {
    [ "$(docker inspect --format '{{.State.Running}}' "client-$1")" = false ] || [ "$(longest_silence "$1" "$2" | cut -d. -f1)" -ge 2 ]
}

was_refused() { docker logs "client-$1" 2>&1 | grep -q AUTH_FAILED; }

# create_user NAME
create_user() {
    local answer
    answer=$(api POST "/api/users?wait=60s" "{\"username\": \"$1\"}")
    [ "$(of_json "d['synced']" <<<"$answer")" = True ] || { echo "she is not synced: $answer" >&2 && return 1; }
    api GET "/api/users/$1/profile" >"$home/profiles/$1.ovpn"
}

connect_user() {
    start_client "$1"
    wait_until 60 "$1 to be connected" is_connected "$1"
}

seconds_since() { awk -v began="$1" -v now="$(date +%s.%N)" 'BEGIN { printf "%.2f", now - began }'; }

# main_job NAME: create, connect, ping, delete, cut, refuse.
main_job() {
    local name=$1 began synced deleted last cut
    began=$(date +%s.%N)
    create_user "$name"
    synced=$(seconds_since "$began")
    connect_user "$name"
    start_pings "$name"
    wait_until 30 "pings of $name" has_replies "$name" 20
    deleted=$(date +%s.%N)
    api DELETE "/api/users/$name" >/dev/null
    wait_until 30 "$name to be silent" is_cut "$name" "$deleted"
    last=$(docker cp "client-$name:/tmp/pings" - | tar --extract --to-stdout | reply_times | tail -n 1)
    cut=$(awk -v deleted="$deleted" -v last="$last" 'BEGIN { cut = last - deleted; printf "%.2f", cut < 0 ? 0 : cut }')
    awk -v cut="$cut" 'BEGIN { exit !(cut < 1) }' || { echo "$name was cut only after $cut s" >&2 && return 1; }
    start_client "$name"
    wait_until 60 "$name to be refused" was_refused "$name"
    docker rm --force "client-$name" >/dev/null
    say "main job ($name): created and synced after $synced s, connected from a container, deleted; the last ping was answered $cut s after DELETE began; a new login is refused"
}
