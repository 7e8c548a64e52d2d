#!/bin/bash
# endnode [FLAG...]: the agent, as a container that may be one of several (`docker compose up --scale endnode=5`). Who it is stays in its
# volume: the container is made anew for each image. What is set from outside wins.
set -euo pipefail
umask 077

state=${STATE_DIR:-/var/lib/vpnmanager/endnode}
# What `join-tokens` fills: a file for each token, and the numbers that nodes have taken.
shared=/run/join
# Tokens are good for ten minutes.
fresh_minutes=9

# remembered NAME COMMAND...: what COMMAND printed when it was first asked.
remembered() {
    local file=$state/$1
    shift
    if [ ! -s "$file" ]; then
        "$@" >"$file.new" || return 1
        mv "$file.new" "$file"
    fi
    cat "$file"
}

new_name() { echo "endnode-$(hostname)"; }

# take_token: moves a token that nobody else has into the volume. Of several nodes that rename the same file one succeeds, and a rename is one
# within a volume only.
take_token() {
    local token taken
    taken=$shared/taken-$(hostname)
    for token in "$shared"/tokens/*; do
        if [ -e "$token" ] && mv "$token" "$taken" 2>/dev/null; then mv "$taken" "$state/join-token" && return 0; fi
    done
    echo "endnode: no join token is left in $shared/tokens: \`docker compose up join-tokens\` makes more" >&2
    return 1
}

# take_number: the first one that no node has. A folder can be made by one only.
take_number() {
    local number
    for number in {1..100}; do
        if mkdir "$shared/numbers/$number" 2>/dev/null; then echo "$number" && return 0; fi
    done
    echo "endnode: all 100 addresses for nodes are taken" >&2
    return 1
}

# own_address NUMBER: an address in the upper half of the container's network, where Docker, which counts from below, has given none.
own_address() {
    local here prefix a b c d host size
    IFS=/ read -r here prefix < <(ip -4 -o addr show scope global up | awk '{ print $4; exit }')
    IFS=. read -r a b c d <<<"$here"
    size=$((1 << (32 - prefix)))
    host=$((((a << 24 | b << 16 | c << 8 | d) & ~(size - 1)) + size / 2 + $1))
    echo "$((host >> 24 & 255)).$((host >> 16 & 255)).$((host >> 8 & 255)).$((host & 255))/$prefix"
}

if [ -z "${SERVER_ID:-}" ]; then
    SERVER_ID=$(remembered server-id new_name)
    export SERVER_ID
fi

# Only to enrol: an older one that was not used is of no use any more.
if [ ! -e "$state/identity.json" ] && [ -z "${JOIN_TOKEN:-}${JOIN_TOKEN_FILE:-}" ]; then
    [ -n "$(find "$state/join-token" -mmin "-$fresh_minutes" 2>/dev/null)" ] || take_token
fi
if [ -z "${JOIN_TOKEN:-}${JOIN_TOKEN_FILE:-}" ] && [ -e "$state/join-token" ]; then
    export JOIN_TOKEN_FILE=$state/join-token
fi

# Where clients dial, which stands in profiles. Docker may give a container another address each time that it starts it, so the node adds one
# of its own.
if [ -z "${PUBLIC_HOST:-}" ] && [ -d "$shared/numbers" ]; then
    number=$(remembered number take_number)
    address=$(own_address "$number")
    ip addr replace "$address" dev eth0
    export PUBLIC_HOST=${address%/*}
fi

exec vpnmanager-endnode "$@"
