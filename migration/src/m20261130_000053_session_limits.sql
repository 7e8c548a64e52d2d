-- How many devices of a user may be connected at the same time is said by her group (groups.sessions): what is beyond that is ended.
ALTER TABLE sessions
    -- When management recorded it for the first time, by the clock of the database: nodes have clocks of their own. Sessions of before have all
    -- the same time. No report changes it.
    ADD COLUMN first_recorded_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- When a replica last had the node asked to end it for that reason. Whoever asks sets it before, so one replica asks at a time.
    ADD COLUMN end_asked_at TIMESTAMPTZ,
    -- When the node answered that it had ended it, or that it is not there. It counts no more; its end is what the node reports.
    ADD COLUMN end_answered_at TIMESTAMPTZ,
    -- Whether the audit trail says that it was ended, or may have been.
    ADD COLUMN end_audited BOOLEAN NOT NULL DEFAULT false;

-- The sessions of a user that may live, those first that were recorded last. A report about a living session changes none of these columns.
CREATE INDEX sessions_open_of_user ON sessions (user_id, first_recorded_at DESC, since DESC)
    WHERE ended_at IS NULL AND end_answered_at IS NULL;
