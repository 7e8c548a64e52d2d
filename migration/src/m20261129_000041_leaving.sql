-- Since when the node is on its way out of the fleet or of its pool; its users leave it some at a time. NULL: it stays.
ALTER TABLE servers ADD COLUMN leaving_since TIMESTAMPTZ;
-- The pool that it moves to when its users have left. NULL with leaving_since: it is deregistered, and its row goes.
ALTER TABLE servers ADD COLUMN leaving_for TEXT;
