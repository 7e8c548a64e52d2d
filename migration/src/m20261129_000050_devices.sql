-- The device of a user that a credential is for. What is there is of the device that every user gets when it is created.
--
-- There is no table of devices: a device of a user is the name of its credentials that are not revoked.
ALTER TABLE credentials
    ADD COLUMN device TEXT COLLATE "C" NOT NULL DEFAULT 'default'
        CONSTRAINT credentials_device CHECK (device ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$');

-- The device whose profile a link hands out.
ALTER TABLE profile_links
    ADD COLUMN device TEXT COLLATE "C" NOT NULL DEFAULT 'default'
        CONSTRAINT profile_links_device CHECK (device ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$');
