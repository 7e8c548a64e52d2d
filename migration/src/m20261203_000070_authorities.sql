-- More than one authority while one takes the place of another: next (trusted alone), present, former (signs the certificates of nodes still) and
-- leaving (trusted alone, until it is deleted). A release without this signs by the first, which is what it has.
ALTER TABLE certificate_authorities ADD COLUMN stage VARCHAR(8) NOT NULL DEFAULT 'present';

-- What the OpenVPN of a node goes by that runs at this moment, as its agent told last.
CREATE TABLE node_authorities (
    server_id   VARCHAR(255) PRIMARY KEY REFERENCES servers (name) ON DELETE CASCADE,
    -- Fingerprints of the authorities whose clients it accepts.
    trusted     TEXT[] NOT NULL,
    -- Fingerprint of the authority that signed its certificate.
    signed_by   VARCHAR(64),
    told_at     TIMESTAMPTZ NOT NULL
);
