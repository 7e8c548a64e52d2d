#!/bin/bash
# Run once by the image of PostgreSQL, on the database that it has just made for deploy/compose/ha.yml.
set -euo pipefail

psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set password="$REPLICATION_PASSWORD" <<'SQL'
CREATE ROLE replication LOGIN REPLICATION PASSWORD :'password';
-- What the proxy asks with. It may read nothing but what everybody may.
CREATE ROLE "check" LOGIN CONNECTION LIMIT 20;
SQL
# The first line that fits counts.
{
    echo "host postgres check all trust"
    echo "host replication replication all scram-sha-256"
    cat "$PGDATA/pg_hba.conf"
} >"$PGDATA/pg_hba.conf.new"
mv "$PGDATA/pg_hba.conf.new" "$PGDATA/pg_hba.conf"
# From here on a server without a database copies the other's.
touch /made/database
