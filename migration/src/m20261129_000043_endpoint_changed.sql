-- When the port or the transport of the node changed last: all its users follow each time. NULL: not since this is recorded.
ALTER TABLE servers ADD COLUMN endpoint_changed_at TIMESTAMPTZ;
