#!/bin/bash
# The start of a PostgreSQL of deploy/compose/ha.yml. At the very first start the one with FIRST=yes makes the database. Any other server whose
# volume is empty copies the other's and follows it. A person promotes a standby: docs/containers.md says how. A server that takes changes
# does not start beside another one.
set -euo pipefail

# Made by postgres-roles.sh, in a volume of both.
made=/made/database

say() { echo "postgres.sh: $*" >&2; }

# in_recovery_of HOST: t for a standby, f for a server that takes changes, nothing when it does not answer.
in_recovery_of() {
    PGCONNECT_TIMEOUT=3 psql "host=$1 user=check dbname=postgres" --no-psqlrc --tuples-only --no-align \
        --command "SELECT pg_is_in_recovery()" 2>/dev/null || true
}

copy_the_other() {
    until [ "$(in_recovery_of "$OTHER")" = f ]; do
        say "waiting for $OTHER, whose database is to be copied"
        sleep 2
    done
    say "copying $OTHER"
    # What a copy that was cut short left.
    find "$PGDATA" -mindepth 1 -delete
    chmod 0700 "$PGDATA"
    PGPASSWORD=$REPLICATION_PASSWORD pg_basebackup --pgdata "$PGDATA/copy" --checkpoint fast --wal-method stream --write-recovery-conf \
        --dbname "host=$OTHER user=replication application_name=$HOSTNAME"
    # What says that there is a database comes last.
    local entry
    for entry in "$PGDATA"/copy/*; do
        [ "${entry##*/}" = PG_VERSION ] || mv "$entry" "$PGDATA/"
    done
    mv "$PGDATA/copy/PG_VERSION" "$PGDATA/"
    rmdir "$PGDATA/copy"
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ "${FIRST:-}" != yes ] || [ -e "$made" ]; then copy_the_other; fi
elif [ ! -e "$PGDATA/standby.signal" ] && [ "$(in_recovery_of "$OTHER")" = f ]; then
    say "$OTHER takes changes already: empty this server's volume, and it will follow"
    sleep 10
    exit 1
fi

# A new database is made by the image, and postgres-roles.sh.
exec docker-entrypoint.sh postgres -c wal_level=replica -c max_wal_senders=5 -c wal_keep_size=1GB -c hot_standby=on
