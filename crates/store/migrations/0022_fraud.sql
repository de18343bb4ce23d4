-- Who is shut out, why and by whom; one row for each customer, its past in the timeline.
CREATE TABLE suspensions (
    customer TEXT PRIMARY KEY,
    level TEXT NOT NULL CHECK (level IN ('checkouts', 'all')),
    reason TEXT NOT NULL,
    set_by TEXT NOT NULL,
    since BIGINT NOT NULL,
    lifted_at BIGINT
);
CREATE INDEX suspensions_since ON suspensions (since, customer) WHERE lifted_at IS NULL;

-- Where checkouts came from: a digest of the address under a key, never the address.
CREATE TABLE checkout_origins (
    checkout TEXT PRIMARY KEY,
    customer TEXT NOT NULL,
    address TEXT,
    at BIGINT NOT NULL
);
CREATE INDEX checkout_origins_time ON checkout_origins (at);
CREATE INDEX checkout_origins_customer ON checkout_origins (customer, at);
CREATE INDEX checkout_origins_address ON checkout_origins (address, at);

-- Cards that failed: digests of their fingerprints, once for each charge.
CREATE TABLE card_attempts (
    scope TEXT NOT NULL,
    charge TEXT NOT NULL,
    provider_customer TEXT NOT NULL,
    address TEXT,
    card TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (scope, charge)
);
CREATE INDEX card_attempts_time ON card_attempts (at);
CREATE INDEX card_attempts_customer ON card_attempts (scope, provider_customer, at);
CREATE INDEX card_attempts_address ON card_attempts (scope, address, at);
