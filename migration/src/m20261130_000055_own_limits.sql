-- Own values of a user for what management holds users to. They come before those of the group. NULL: what the group says holds.
ALTER TABLE users
    ADD COLUMN own_devices           SMALLINT CHECK (own_devices BETWEEN 1 AND 16),
    ADD COLUMN own_sessions          SMALLINT CHECK (own_sessions BETWEEN 1 AND 16),
    ADD COLUMN own_session_excess    TEXT CHECK (own_session_excess IN ('oldest_ends', 'newest_ends')),
    -- The quota as a whole, as groups have it: all three columns, or none.
    ADD COLUMN own_traffic_bytes     BIGINT CHECK (own_traffic_bytes > 0),
    ADD COLUMN own_traffic_period    TEXT CHECK (own_traffic_period IN ('day', 'week', 'month', 'none')),
    ADD COLUMN own_traffic_reset_day SMALLINT CHECK (own_traffic_reset_day BETWEEN 1 AND 28),
    ADD CONSTRAINT users_own_traffic CHECK (num_nulls(own_traffic_bytes, own_traffic_period, own_traffic_reset_day) IN (0, 3));

-- The lowest own limit of sessions.
CREATE INDEX users_by_own_sessions ON users (own_sessions) WHERE own_sessions IS NOT NULL AND removed_at IS NULL;
-- Whom a replica judges at its start, and whether there is anybody.
CREATE INDEX users_with_own_quota ON users (id) WHERE own_traffic_bytes IS NOT NULL AND removed_at IS NULL;
