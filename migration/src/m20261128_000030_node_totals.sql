-- How far each node has applied its commands, without reading its placements: totals, and what has changed since they were summed.
-- Whoever changes placements only adds rows here, so that two who change placements of one node need not wait for each other.

CREATE TABLE node_totals (
    server_id       VARCHAR(255) PRIMARY KEY,
    -- Users that it should hold.
    wanted          BIGINT NOT NULL,
    -- Placements that it has applied, and those that it has not.
    applied         BIGINT NOT NULL,
    pending         BIGINT NOT NULL,
    -- XOR of placements.digest.
    digest          BIGINT NOT NULL,
    -- When it last applied something, by its own clock; stays when the placement is gone.
    last_applied_at TIMESTAMPTZ
);

-- Differences, added in the transaction that changed the placements. A task adds them to the totals and deletes them.
CREATE TABLE node_total_changes (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    server_id       VARCHAR(255) NOT NULL,
    wanted          BIGINT NOT NULL,
    applied         BIGINT NOT NULL,
    pending         BIGINT NOT NULL,
    digest          BIGINT NOT NULL,
    last_applied_at TIMESTAMPTZ
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX node_total_changes_by_server ON node_total_changes (server_id);

CREATE FUNCTION placements_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO node_total_changes (server_id, wanted, applied, pending, digest, last_applied_at)
        SELECT server_id, count(*) FILTER (WHERE wanted_present), count(*) FILTER (WHERE applied_revision >= wanted_revision),
               count(*) FILTER (WHERE applied_revision < wanted_revision), bit_xor(digest), max(applied_at)
        FROM added GROUP BY server_id;
    RETURN NULL;
END $$;

CREATE FUNCTION placements_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO node_total_changes (server_id, wanted, applied, pending, digest)
        SELECT server_id, -count(*) FILTER (WHERE wanted_present), -count(*) FILTER (WHERE applied_revision >= wanted_revision),
               -count(*) FILTER (WHERE applied_revision < wanted_revision), bit_xor(digest)
        FROM gone GROUP BY server_id;
    RETURN NULL;
END $$;

-- Most updates concern publishing and change no total: they add no row.
CREATE FUNCTION placements_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO node_total_changes (server_id, wanted, applied, pending, digest, last_applied_at)
        SELECT server_id, wanted, applied, -applied, digest, CASE WHEN is_later THEN newest END
        FROM (
            SELECT server_id,
                   sum(sign * wanted_present::integer) AS wanted,
                   sum(sign * (applied_revision >= wanted_revision)::integer) AS applied,
                   bit_xor(digest) AS digest,
                   max(applied_at) FILTER (WHERE sign > 0) AS newest,
                   max(applied_at) FILTER (WHERE sign > 0) > COALESCE(max(applied_at) FILTER (WHERE sign < 0), '-infinity') AS is_later
            FROM (SELECT 1 AS sign, a.* FROM after a UNION ALL SELECT -1, b.* FROM before b) AS versions
            GROUP BY server_id) AS changes
        WHERE wanted <> 0 OR applied <> 0 OR digest <> 0 OR is_later;
    RETURN NULL;
END $$;

CREATE TRIGGER placements_inserted AFTER INSERT ON placements
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION placements_inserted();
CREATE TRIGGER placements_deleted AFTER DELETE ON placements
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION placements_deleted();
CREATE TRIGGER placements_updated AFTER UPDATE ON placements
    REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION placements_updated();

-- Nobody changes placements while this transaction lasts: making a trigger takes such a lock.
INSERT INTO node_totals
    SELECT server_id, count(*) FILTER (WHERE wanted_present), count(*) FILTER (WHERE applied_revision >= wanted_revision),
           count(*) FILTER (WHERE applied_revision < wanted_revision), bit_xor(digest), max(applied_at)
    FROM placements GROUP BY server_id;

-- The oldest pending placement of a node, and its newest error, without reading the others.
DROP INDEX placements_pending;
CREATE INDEX placements_pending ON placements (server_id, (COALESCE(published_at, created_at))) WHERE applied_revision < wanted_revision;
CREATE INDEX placements_errors ON placements (server_id, id) WHERE error IS NOT NULL;
