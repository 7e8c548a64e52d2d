-- Since when the node has had its bus key, by the clock of the database: nothing was issued to it for that key before. Of nodes that are there it is
-- only known when they enrolled first. A replica of the release before that gives a node another key leaves the time of the key before: too old a key
-- refuses nobody.
ALTER TABLE servers ADD COLUMN bus_key_since TIMESTAMPTZ NOT NULL DEFAULT now();
UPDATE servers SET bus_key_since = created_at;
