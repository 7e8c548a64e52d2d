-- Since when every heartbeat of a node has come late: its clock is slow, or it was only held up.
ALTER TABLE health_status ADD COLUMN late_since TIMESTAMPTZ;
