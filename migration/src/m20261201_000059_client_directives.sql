-- Extra directives of the clients of a pool, as texts. They stand in the profiles that management hands out; nodes are not told.
ALTER TABLE pools
    ADD COLUMN client_directives TEXT[] NOT NULL DEFAULT '{}' CHECK (cardinality(client_directives) <= 16);
