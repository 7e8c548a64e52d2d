-- Commands that end access: they are published before all others, and sent to the node directly as well.

ALTER TABLE placements
    -- Since when a change that ended access has not been applied; empty when there is none.
    ADD COLUMN urgent_since TIMESTAMPTZ,
    -- When the node was last asked directly to apply it.
    ADD COLUMN asked_at     TIMESTAMPTZ;

DROP INDEX placements_unpublished;
CREATE INDEX placements_unpublished ON placements ((urgent_since IS NULL), id) WHERE published_revision < wanted_revision;
CREATE INDEX placements_urgent ON placements (id) WHERE urgent_since IS NOT NULL;
