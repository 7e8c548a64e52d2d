-- When it was noted, by the clock of the database, that the node had lost its journal: it can tell nothing of the sessions that were open
-- then. It stays when the node holds everything again, unlike emptied_at. Here, because nodes are locked before what follows.
ALTER TABLE servers ADD COLUMN journal_lost_at TIMESTAMPTZ;

-- The device of a user that a credential is for. What is there is of the device that every user gets when it is created.
--
-- There is no table of devices: a device of a user is the name of its credentials that are not revoked. The constraint need not be checked
-- for what is there: with a million credentials that would take seconds, in which nobody gets one.
ALTER TABLE credentials
    ADD COLUMN device TEXT COLLATE "C" NOT NULL DEFAULT 'default',
    ADD CONSTRAINT credentials_device CHECK (device ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$') NOT VALID;

-- The device whose profile a link hands out.
ALTER TABLE profile_links
    ADD COLUMN device TEXT COLLATE "C" NOT NULL DEFAULT 'default'
        CONSTRAINT profile_links_device CHECK (device ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$');
