-- Who was connected, when, from where and with how much traffic: one row for each session. A node names its sessions by their start and
-- OpenVPN's number; who it was is what management knew when it first heard of the session.
--
-- The reports about a living session change bytes, seen_at and recorded_at every few minutes. No index has these columns, so that such an
-- update touches no index (PostgreSQL manual, "Heap-Only Tuples"); the room in each page is for it. So housekeeping, which goes by
-- recorded_at, finds its rows by their start.
CREATE TABLE sessions (
    server_id        TEXT COLLATE "C" NOT NULL,
    since            TIMESTAMPTZ NOT NULL,
    cid              BIGINT NOT NULL CHECK (cid >= 0),
    common_name      TEXT COLLATE "C" NOT NULL,
    -- No foreign key: history outlives users. NULL: the user's row was gone before the session was heard of.
    user_id          BIGINT,
    username         TEXT COLLATE "C",
    device           TEXT COLLATE "C",
    -- What the node says, and the address in it if there is one.
    real_address     TEXT NOT NULL,
    real_ip          INET,
    virtual_address  INET,
    virtual_address6 INET,
    bytes_in         BIGINT NOT NULL CHECK (bytes_in >= 0),
    bytes_out        BIGINT NOT NULL CHECK (bytes_out >= 0),
    client_version   TEXT,
    client_platform  TEXT,
    -- By the node's clock, as since, ended_at and gone_at are.
    seen_at          TIMESTAMPTZ NOT NULL,
    -- NULL: it lives, or the node has not said yet that it ended. A session has a length: a time range without one contains no moment.
    ended_at         TIMESTAMPTZ CHECK (ended_at > since),
    end_kind         TEXT CHECK (end_kind IN ('seen', 'assumed')),
    -- Until when it may have lived. An end that was seen is that moment. Of an assumed one ended_at is when the session was last seen alive,
    -- and gone_at when it was found gone.
    gone_at          TIMESTAMPTZ CHECK (gone_at >= ended_at),
    -- When management recorded what it heard last, by the clock of the database.
    recorded_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    CHECK ((ended_at IS NULL) = (end_kind IS NULL) AND (ended_at IS NULL) = (gone_at IS NULL)),
    -- Read backwards it gives the newest first.
    PRIMARY KEY (since, cid, server_id)
) WITH (fillfactor = 90);
CREATE INDEX sessions_by_user ON sessions (username, since DESC) WHERE username IS NOT NULL;
CREATE INDEX sessions_by_server ON sessions (server_id, since DESC);
CREATE INDEX sessions_open ON sessions (server_id) WHERE ended_at IS NULL;
-- Who had an address at that time: by the address inside the tunnel, and by the one that the client connected from.
CREATE INDEX sessions_by_address ON sessions USING gist (virtual_address inet_ops, tstzrange(since, gone_at))
    WHERE virtual_address IS NOT NULL;
CREATE INDEX sessions_by_address6 ON sessions USING gist (virtual_address6 inet_ops, tstzrange(since, gone_at))
    WHERE virtual_address6 IS NOT NULL;
CREATE INDEX sessions_by_real_ip ON sessions USING gist (real_ip inet_ops, tstzrange(since, gone_at))
    WHERE real_ip IS NOT NULL;
-- Who was connected at that time.
CREATE INDEX sessions_by_time ON sessions USING gist (tstzrange(since, gone_at));

-- The traffic of each user on each node and day (UTC). It is kept for longer than the sessions that it was counted in.
CREATE TABLE traffic_days (
    day       DATE NOT NULL,
    user_id   BIGINT NOT NULL,
    username  TEXT COLLATE "C" NOT NULL,
    server_id TEXT COLLATE "C" NOT NULL,
    bytes_in  BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    -- That began on that day.
    sessions  BIGINT NOT NULL,
    PRIMARY KEY (day, user_id, server_id)
) WITH (fillfactor = 90);
CREATE INDEX traffic_days_by_user ON traffic_days (user_id, day);
CREATE INDEX traffic_days_by_server ON traffic_days (server_id, day);

-- When a session of the credential was last seen alive, never later than now; NULL until it is used.
ALTER TABLE credentials ADD COLUMN last_access TIMESTAMPTZ;
