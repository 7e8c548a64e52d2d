-- What a request to enrol must equal to count as a repetition: SHA-256 over the node's id, both of its public keys, its endpoint and its
-- pool. Empty for what was enrolled or used before this migration: that is repeated by nobody.
ALTER TABLE servers ADD COLUMN enrolled_as BYTEA;
ALTER TABLE join_tokens ADD COLUMN used_as BYTEA;
