-- Each entry of the audit trail carries the hash of the one before it. There are 16 chains: whoever writes takes the first that no other transaction
-- holds, and keeps it until the transaction ends, so that nobody waits for the commit of somebody else while there are no more than 16 at once. A trigger does it, so that it is so for whatever
-- writes: a replica of an older release, an import, a person. Entries from before have no hash.
ALTER TABLE audit_log
    ADD COLUMN chain         SMALLINT,
    -- Its place in the chain, from 1 on, without a gap.
    ADD COLUMN chain_seq     BIGINT,
    -- That of the entry at the place before; 32 zero bytes for the first.
    ADD COLUMN previous_hash BYTEA,
    -- SHA-256 of previous_hash and of the entry's columns as a JSON array, as audit_log_chain makes it.
    ADD COLUMN hash          BYTEA;

-- The last entry of each chain. Written only by the triggers.
CREATE TABLE audit_chains (
    chain       SMALLINT PRIMARY KEY,
    seq         BIGINT NOT NULL DEFAULT 0,
    hash        BYTEA NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    -- The highest id of the entries from before there were chains.
    begun_after BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO audit_chains (chain, begun_after)
SELECT chain, (SELECT COALESCE(max(id), 0) FROM audit_log) FROM generate_series(0, 15) AS chain;

-- What management has signed with the key of the fleet's CA, once a minute in which there were entries: the statement names the last entries of the chains
-- that went on, and the hash of the statement before.
CREATE TABLE audit_checkpoints (
    number    BIGINT PRIMARY KEY,
    at        TIMESTAMPTZ NOT NULL,
    statement TEXT NOT NULL,
    signature BYTEA NOT NULL
);
CREATE FUNCTION audit_checkpoints_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_checkpoints is append-only';
END $$;
CREATE TRIGGER audit_checkpoints_append_only BEFORE UPDATE OR DELETE ON audit_checkpoints
    FOR EACH ROW EXECUTE FUNCTION audit_checkpoints_are_append_only();
CREATE TRIGGER audit_checkpoints_not_truncated BEFORE TRUNCATE ON audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION audit_checkpoints_are_append_only();

-- Before a statement that adds entries: takes a chain. Two settings of the transaction, which a rollback to a savepoint takes back with the entries, hold
-- which chain it has, and where the statement stands: the chain, the place at its beginning, the last place, the last hash.
CREATE FUNCTION audit_chain_begin() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    -- The letters of "chai".
    locks CONSTANT INTEGER := 1667785065;
    taken INTEGER := NULLIF(current_setting('vpnmanager.audit_chain', true), '')::integer;
BEGIN
    IF taken IS NULL THEN
        -- Whoever finds all taken looks again, for a second in all: one that has its chain for long must not hold up who waits for that one alone.
        FOR look IN 0..44 LOOP
            PERFORM pg_sleep(0.001 * look) WHERE look > 0;
            FOR free IN 0..15 LOOP
                IF pg_try_advisory_xact_lock(locks, free) THEN
                    taken := free;
                    EXIT;
                END IF;
            END LOOP;
            EXIT WHEN taken IS NOT NULL;
        END LOOP;
        -- PostgreSQL finds a deadlock only among those that wait for a lock.
        IF taken IS NULL THEN
            taken := pg_backend_pid() % 16;
            PERFORM pg_advisory_xact_lock(locks, taken);
        END IF;
        PERFORM set_config('vpnmanager.audit_chain', taken::text, true);
    END IF;
    PERFORM set_config('vpnmanager.audit_head', concat_ws(' ', c.chain, c.seq, c.seq, encode(c.hash, 'hex')), true)
    FROM audit_chains c WHERE c.chain = taken;
    RETURN NULL;
END $$;

-- Each entry. Its hash is that of one text, which whoever has the entry as JSON can make: docs/audit.md says how.
CREATE FUNCTION audit_log_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head TEXT := current_setting('vpnmanager.audit_head', true);
BEGIN
    IF COALESCE(head, '') = '' THEN
        RAISE EXCEPTION 'an entry goes into audit_log, and not into a partition of it';
    END IF;
    NEW.chain := split_part(head, ' ', 1)::smallint;
    NEW.chain_seq := split_part(head, ' ', 3)::bigint + 1;
    NEW.previous_hash := decode(split_part(head, ' ', 4), 'hex');
    NEW.hash := sha256(NEW.previous_hash || convert_to(json_build_array(
        NEW.id, (extract(epoch FROM NEW.timestamp) * 1000000)::bigint, NEW.action, NEW.username, NEW.details, NEW.ip_address, NEW.server_id,
        NEW.actor, NEW.request_id, NEW.before, NEW.after, NEW.event_id, (extract(epoch FROM NEW.reported_at) * 1000000)::bigint
    )::text, 'UTF8'));
    PERFORM set_config('vpnmanager.audit_head',
                       concat_ws(' ', NEW.chain, split_part(head, ' ', 2), NEW.chain_seq, encode(NEW.hash, 'hex')), true);
    RETURN NEW;
END $$;

-- After the statement: one change of the chain, however many entries there were.
CREATE FUNCTION audit_chain_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    head TEXT[] := string_to_array(current_setting('vpnmanager.audit_head', true), ' ');
BEGIN
    PERFORM set_config('vpnmanager.audit_head', '', true);
    IF head[3] <> head[2] THEN
        UPDATE audit_chains SET seq = head[3]::bigint, hash = decode(head[4], 'hex')
        WHERE chain = head[1]::smallint AND seq = head[2]::bigint;
        -- Somebody has set by hand what belongs to the triggers. Whoever lost tries again.
        IF NOT FOUND THEN
            RAISE EXCEPTION 'another transaction has written in chain % of audit_log', head[1] USING ERRCODE = 'serialization_failure';
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER audit_log_chain_begin BEFORE INSERT ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_chain_begin();
-- An entry that is moved to the partition of its month, or comes from a backup, keeps its place.
CREATE TRIGGER audit_log_chained BEFORE INSERT ON audit_log
    FOR EACH ROW WHEN (NEW.hash IS NULL) EXECUTE FUNCTION audit_log_chain();
CREATE TRIGGER audit_log_chain_end AFTER INSERT ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_chain_end();

DO $$
BEGIN
    -- As for the functions of the partitions: names are looked up in the system's schema and then in this one.
    EXECUTE format('ALTER FUNCTION audit_chain_begin() SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION audit_chain_end() SET search_path = %I, pg_temp', current_schema());
END $$;
