-- Nodes whose keys others may have: the credentials that they made are revoked, some users at a time. A row goes when that is done.
CREATE TABLE node_revocations (
    server_id   VARCHAR(255) PRIMARY KEY,
    -- The newest credential that is revoked: a node that enrols under this name later makes newer ones.
    upto        BIGINT NOT NULL,
    -- Who asked for it, for the audit trail.
    actor       VARCHAR(255) NOT NULL,
    ip_address  INET,
    request_id  VARCHAR(64),
    asked_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- How far it is.
    users       BIGINT NOT NULL DEFAULT 0,
    credentials BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX node_revocations_by_age ON node_revocations (asked_at);
CREATE INDEX credentials_valid_by_server ON credentials (server_id, id) WHERE revoked_at IS NULL;
