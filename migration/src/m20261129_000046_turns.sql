-- What is not in the stream is claimed in turns, some of each node: one node with much of it holds up no other.
DROP INDEX placements_unpublished;
CREATE INDEX placements_unpublished ON placements (server_id, (urgent_since IS NULL), id) WHERE published_revision < wanted_revision;
