-- Own values of a user for what nodes hold users to: reach, routes and speed. For nodes alone the user is in another group, which stands for its
-- own group with these values.
ALTER TABLE users
    -- NULL: what the group says holds.
    ADD COLUMN own_rules JSONB,
    -- The group in which nodes know the user. It follows from own_rules and group_name. An older replica that puts the user into another group
    -- does not touch it: it is that of the group before until housekeeping of a newer one finds it.
    ADD COLUMN own_group TEXT COLLATE "C",
    ADD CONSTRAINT users_own_rules CHECK (num_nulls(own_rules, own_group) IN (0, 2));
CREATE INDEX users_by_own_group ON users (own_group) WHERE own_group IS NOT NULL;

-- The groups that stand for own values. Users of the same group with the same values share one. No foreign keys, as for groups: management locks a
-- row before it puts a user into it, and before it deletes it.
CREATE TABLE own_groups (
    name         TEXT COLLATE "C" PRIMARY KEY CHECK (name ~ '^own-[0-9a-f]{20}$'),
    -- The group that holds where there is no own value.
    group_name   TEXT COLLATE "C" NOT NULL,
    rules        JSONB NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- Since when housekeeping has found nobody in it. NULL: somebody was in it when it last looked, or it has not looked yet.
    unused_since TIMESTAMPTZ
);
