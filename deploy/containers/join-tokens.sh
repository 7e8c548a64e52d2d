#!/bin/bash
# join-tokens COUNT: asks management for COUNT tokens, each good for one new node and for 10 minutes, and puts each into a file below
# /run/join/tokens, from where one node takes it (deploy/containers/endnode.sh). Those that nobody took are replaced. Needs MANAGEMENT_HOST,
# such as management:8080, and API_KEY. It runs as the only one beside management that is given the operator's key.
set -euo pipefail
umask 077
folder=/run/join

# new_token: one from management.
new_token() {
    local body='{"ttl": "10m"}' status answer
    exec 3<>"/dev/tcp/${MANAGEMENT_HOST%:*}/${MANAGEMENT_HOST##*:}"
    printf 'POST /api/join-tokens HTTP/1.1\r\nHost: %s\r\nX-API-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s' \
        "$MANAGEMENT_HOST" "$API_KEY" "${#body}" "$body" >&3
    IFS= read -r -t 20 status <&3
    answer=$(timeout 20 cat <&3)
    exec 3>&-
    if [[ $status != HTTP/1.?\ 201* ]]; then
        echo "join-tokens: management answers: $status" >&2
        return 1
    fi
    sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' <<<"$answer"
}

mkdir -p "$folder/tokens" "$folder/numbers"
rm -f "$folder"/tokens/*
for number in $(seq "$1"); do
    token=$(new_token)
    [ -n "$token" ]
    # Under its name only once it is whole.
    printf '%s\n' "$token" >"$folder/new"
    mv "$folder/new" "$folder/tokens/$number"
done
echo "join-tokens: $1 new nodes may join within 10 minutes"
