-- Nodes whose users get new credentials, some users at a time: the disk was lost with the keys, or somebody else has them. The row of a node
-- stays when that has ended, until it is asked for again.
CREATE TABLE node_reissues (
    server_id    VARCHAR(255) PRIMARY KEY,
    -- The newest credential that counts as lost: what the node makes after it was asked for is not.
    upto         BIGINT NOT NULL,
    old_profiles TEXT NOT NULL CHECK (old_profiles IN ('keep', 'revoke')),
    -- Only what the node made before it counts as lost; NULL: all that it had made.
    made_before  TIMESTAMPTZ,
    -- Who asked for it, for the audit trail.
    actor        VARCHAR(255) NOT NULL,
    ip_address   INET,
    request_id   VARCHAR(64),
    started_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- When some of its users last had their turn.
    turn_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- NULL: it goes on.
    ended_at     TIMESTAMPTZ,
    -- Whether somebody ended it before all users had their turn.
    stopped      BOOLEAN NOT NULL DEFAULT false,
    -- Users: all, those who had their turn, those of them who needed nothing, and those of whom the database refused the change.
    total        BIGINT NOT NULL DEFAULT 0,
    done         BIGINT NOT NULL DEFAULT 0,
    unchanged    BIGINT NOT NULL DEFAULT 0,
    failed       BIGINT NOT NULL DEFAULT 0,
    -- The names of the first of the last.
    failed_users JSONB NOT NULL DEFAULT '[]'
);
CREATE INDEX node_reissues_running ON node_reissues (turn_at) WHERE ended_at IS NULL;

-- The users who still have to come. Without a foreign key to users: its check would wait for whoever is changing one of them.
CREATE TABLE node_reissue_users (
    server_id VARCHAR(255) NOT NULL,
    user_id   BIGINT NOT NULL,
    PRIMARY KEY (server_id, user_id)
);

-- The time of the transaction may be before that of a request in answer to which it makes them.
ALTER TABLE credentials ALTER COLUMN created_at SET DEFAULT clock_timestamp();
