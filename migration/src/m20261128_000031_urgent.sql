-- Commands that end access: they are published before all others, and sent to the node directly as well.

ALTER TABLE placements
    -- Since when the wanted revision ends access and is not applied; empty for all others.
    ADD COLUMN urgent_since TIMESTAMPTZ,
    -- When the node was last asked directly to apply it.
    ADD COLUMN asked_at     TIMESTAMPTZ;

DROP INDEX placements_unpublished;
CREATE INDEX placements_unpublished ON placements ((urgent_since IS NULL), id) WHERE published_revision < wanted_revision;
CREATE INDEX placements_urgent ON placements (id) WHERE urgent_since IS NOT NULL;
