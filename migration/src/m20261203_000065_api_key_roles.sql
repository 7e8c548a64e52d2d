-- Keys that operators make: more roles, whose they are, what they are narrowed to, rotation with a grace time, revocation.
ALTER TABLE api_keys
    DROP CONSTRAINT api_keys_role_check,
    ADD CONSTRAINT api_keys_role_check CHECK (role IN ('viewer', 'operator', 'admin', 'node')),
    ADD COLUMN owner                TEXT,
    -- The first characters of the key, by which people tell it from others. NULL: the key of API_KEY, and keys of before.
    ADD COLUMN prefix               TEXT,
    ADD COLUMN created_by           TEXT NOT NULL DEFAULT 'system',
    ADD COLUMN last_used_address    INET,
    -- The hash of a revoked key is 'revoked <id>', which is the hash of nothing: an older replica refuses it too.
    ADD COLUMN revoked_at           TIMESTAMPTZ,
    ADD COLUMN rotated_at           TIMESTAMPTZ,
    -- The key of before the last rotation, or of before the revocation, and until when it is accepted. Without that time: not at all.
    ADD COLUMN previous_hash        BYTEA UNIQUE,
    ADD COLUMN previous_valid_until TIMESTAMPTZ,
    -- What the key is narrowed to. NULL: to nothing.
    ADD COLUMN pools                TEXT[],
    ADD COLUMN groups               TEXT[];
