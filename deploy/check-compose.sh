#!/usr/bin/env bash
# Checks docker-compose.yml with `docker compose config`, which needs no Docker engine. Says so loudly where there is no compose.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! docker compose version >/dev/null 2>&1; then
    echo "check-compose: SKIPPED, docker-compose.yml was NOT checked: \`docker compose\` is not on this machine" >&2
    exit 0
fi
# Not with an .env of the operator's: it is the defaults that are checked, with secrets as they have none.
API_KEY=$(openssl rand -hex 32) DB_PASSWORD=$(openssl rand -hex 32) docker compose --env-file .env.example --file docker-compose.yml config --quiet
echo "check-compose: docker-compose.yml is valid ($(docker compose version --short))"
