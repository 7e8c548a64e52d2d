-- Nodes that send more than their budget, and when management could not hear nodes.

ALTER TABLE servers
    -- When it last sent more than its budget, and of what.
    ADD COLUMN over_budget_at TIMESTAMPTZ,
    ADD COLUMN over_budget    TEXT,
    -- The bus refuses it until then.
    ADD COLUMN cut_off_until  TIMESTAMPTZ;

-- The replicas of management. The silence of a node counts from when all of them could hear.
CREATE TABLE replicas (
    server_id VARCHAR(63) PRIMARY KEY,
    -- When this replica last could not hear, or not record, what nodes sent.
    deaf_at   TIMESTAMPTZ NOT NULL
);
