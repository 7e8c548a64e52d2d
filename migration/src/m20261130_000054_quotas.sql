-- How much traffic the members of a group may have in a period. What they have is counted in traffic_days.
ALTER TABLE groups
    -- In both directions together. NULL: any number.
    ADD COLUMN traffic_bytes     BIGINT CHECK (traffic_bytes > 0),
    -- Each begins at midnight (UTC): a week on Monday, a month on traffic_reset_day.
    ADD COLUMN traffic_period    TEXT NOT NULL DEFAULT 'month' CHECK (traffic_period IN ('day', 'week', 'month', 'none')),
    ADD COLUMN traffic_reset_day SMALLINT NOT NULL DEFAULT 1 CHECK (traffic_reset_day BETWEEN 1 AND 28);
ALTER TABLE users
    -- NULL: the user is not over the quota of its group.
    ADD COLUMN over_quota_since  TIMESTAMPTZ,
    -- Of the traffic of the days until forgiven_on, so many bytes do not count.
    ADD COLUMN traffic_forgiven  BIGINT NOT NULL DEFAULT 0 CHECK (traffic_forgiven >= 0),
    ADD COLUMN forgiven_on       DATE,
    -- The first day of the period in which the trail says that most of the quota is used.
    ADD COLUMN quota_warned_from DATE,
    -- When the user got another revision because it was connected although it is over the quota.
    ADD COLUMN refused_again_at  TIMESTAMPTZ;
CREATE INDEX users_over_quota ON users (id) WHERE over_quota_since IS NOT NULL AND removed_at IS NULL;
