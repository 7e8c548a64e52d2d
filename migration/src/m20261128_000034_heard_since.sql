-- Since when the node has been heard without a break. A node is given up only while another one of its pool is heard.
ALTER TABLE servers ADD COLUMN heard_since TIMESTAMPTZ;
