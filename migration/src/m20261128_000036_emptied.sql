-- Since when, by its own clock, a node holds nothing of what it had applied before: it lost its journal, and gets everything again.
ALTER TABLE servers ADD COLUMN emptied_at TIMESTAMPTZ;
