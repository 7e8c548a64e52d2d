-- How many users a node has created, and how much it has asked for lately.
CREATE INDEX users_created_by_nodes ON users (created_by) WHERE removed_at IS NULL AND created_by LIKE 'node:%';
CREATE INDEX intents_by_server ON intents (server_id, created_at);
CREATE INDEX intents_by_age ON intents (created_at);
