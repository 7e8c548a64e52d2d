-- Requests with an Idempotency-Key of the last day. A row is claimed before the request is worked on, and gets the answer afterwards.
CREATE TABLE idempotency_keys (
    -- The name of the API key. Without a foreign key: its requests may be known for longer than it is.
    caller      VARCHAR(255) NOT NULL,
    -- SHA-256 of the Idempotency-Key.
    key_hash    BYTEA NOT NULL,
    -- SHA-256 of what was asked.
    fingerprint BYTEA NOT NULL,
    -- Tells this claim from another one of the same key.
    claim       BIGINT NOT NULL,
    -- The replica that works on it.
    claimed_by  VARCHAR(63) NOT NULL,
    -- Until when that replica counts as alive, unless it says so again.
    lease_until TIMESTAMPTZ NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- NULL: it is being worked on, or nobody knows how it ended.
    answered_at TIMESTAMPTZ,
    -- Encrypted with a key that is stored nowhere. NULL where there is an answer: it was too long to be kept.
    answer      BYTEA,
    PRIMARY KEY (caller, key_hash)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
