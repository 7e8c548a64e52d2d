-- The store of the bus was replaced, and placements up to this id are marked for publication. NULL: all are.
ALTER TABLE bus_streams ADD COLUMN marked_upto BIGINT;
