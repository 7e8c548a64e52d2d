-- The newest commands that end access on each node are asked for first.
DROP INDEX placements_urgent;
CREATE INDEX placements_urgent ON placements (server_id, urgent_since DESC) WHERE urgent_since IS NOT NULL;
