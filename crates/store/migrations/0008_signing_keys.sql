-- The keys that sign entitlement tokens. Their numbers count up, so that two nodes cannot both make the next one.

CREATE TABLE signing_keys (
    number BIGINT PRIMARY KEY,
    kid TEXT NOT NULL UNIQUE,
    -- Ed25519, 32 bytes in hexadecimal.
    public_key TEXT NOT NULL,
    -- The private part, sealed with the root key; forgotten when the key signs no more.
    sealed TEXT,
    created_at BIGINT NOT NULL,
    signs_from BIGINT NOT NULL,
    withdrawn_at BIGINT
);
