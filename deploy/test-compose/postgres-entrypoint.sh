#!/bin/bash
# docker-entrypoint.sh postgres [OPTION...]: what our compose files need of that of the image of PostgreSQL, for deploy/test-compose.sh. Makes
# the database at the first start.
set -euo pipefail

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    chmod 0700 "$PGDATA"
    initdb --pgdata "$PGDATA" --username "$POSTGRES_USER" --auth-local trust --auth-host scram-sha-256 \
        --pwfile <(printf '%s\n' "$POSTGRES_PASSWORD") --encoding UTF8
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    # On a socket only: nobody else connects before it is complete.
    pg_ctl --pgdata "$PGDATA" --options "-c listen_addresses='' -c unix_socket_directories=/run/postgresql" --wait start
    export PGHOST=/run/postgresql
    createdb --username "$POSTGRES_USER" "$POSTGRES_DB"
    for script in /docker-entrypoint-initdb.d/*.sh; do
        if [ -e "$script" ]; then "$script"; fi
    done
    unset PGHOST
    pg_ctl --pgdata "$PGDATA" --mode fast --wait stop
fi
exec "$@" -c "listen_addresses=*" -c unix_socket_directories=/run/postgresql
