-- What is sold, and what was: earlier catalogs with the time at which each came into force.
CREATE TABLE catalog_versions (
    version TEXT PRIMARY KEY,
    text TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE catalogs_in_force (
    seq {IDENTITY},
    version TEXT NOT NULL REFERENCES catalog_versions (version),
    since BIGINT NOT NULL
);

-- The provider's prices that ever meant a plan. They mean it for ever, so that whoever pays one keeps what it bought.
CREATE TABLE known_prices (
    scope TEXT NOT NULL,
    price TEXT NOT NULL,
    lookup_key TEXT NOT NULL,
    plan TEXT NOT NULL,
    plan_group TEXT NOT NULL,
    charged TEXT NOT NULL,
    amount BIGINT NOT NULL,
    currency TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (scope, price)
);

-- What was negotiated with one customer.
CREATE TABLE customer_terms (
    customer TEXT PRIMARY KEY REFERENCES customers (id),
    terms TEXT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- The catalog under which it was bought.
ALTER TABLE holdings ADD COLUMN catalog_version TEXT;
