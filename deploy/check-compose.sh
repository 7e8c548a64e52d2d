#!/usr/bin/env bash
# Checks the compose files with `docker compose config`, which needs no Docker engine. Says so loudly where there is no compose.
set -euo pipefail
cd "$(dirname "$0")/.."

files=(docker-compose.yml deploy/compose/ha.yml deploy/compose/node.yml)
if docker compose version >/dev/null 2>&1; then compose=(docker compose)
elif command -v docker-compose >/dev/null; then compose=(docker-compose)
else
    echo "check-compose: SKIPPED, ${files[*]} were NOT checked: neither \`docker compose\` nor \`docker-compose\` is on this machine" >&2
    exit 0
fi
# Not with an .env of the operator's: it is the defaults that are checked, with secrets as they have none.
API_KEY=$(openssl rand -hex 32) DB_PASSWORD=$(openssl rand -hex 32) REPLICATION_PASSWORD=$(openssl rand -hex 32)
export API_KEY DB_PASSWORD REPLICATION_PASSWORD
export SERVER_ID=node-1 MANAGEMENT_URL=https://management.example.org PUBLIC_HOST=vpn1.example.org
for file in "${files[@]}"; do
    "${compose[@]}" --env-file "$PWD/.env.example" --file "$file" config --quiet
    echo "check-compose: $file is valid (${compose[*]} $("${compose[@]}" version --short))"
done
