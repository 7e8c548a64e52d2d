#!/bin/bash
# healthcheck PORT: succeeds when GET /health on this machine answers 200. Needs bash alone.
set -euo pipefail
exec 3<>"/dev/tcp/127.0.0.1/$1"
printf 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
IFS= read -r -t 3 status <&3
[[ $status == HTTP/1.?\ 200* ]]
