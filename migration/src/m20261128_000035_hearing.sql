-- Since when each replica of management hears what nodes send, and when it last said so. NULL: it does not hear, or is of an older release.
ALTER TABLE replicas
    ADD COLUMN heard_since TIMESTAMPTZ,
    ADD COLUMN heard_at    TIMESTAMPTZ;
