#!/bin/bash
# healthcheck PORT PATH: succeeds when GET PATH on this machine answers 200. Needs bash alone.
set -euo pipefail
exec 3<>"/dev/tcp/127.0.0.1/$1"
printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$2" >&3
IFS= read -r -t 3 status <&3
[[ $status == HTTP/1.?\ 200* ]]
