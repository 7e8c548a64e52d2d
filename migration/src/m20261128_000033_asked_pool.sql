-- The pool that the configuration of the node's agent names, where it is another than the node's.
ALTER TABLE servers ADD COLUMN asked_pool TEXT;
