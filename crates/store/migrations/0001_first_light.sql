-- The first schema. Times are milliseconds since 1970 UTC, amounts are minor units, JSON is text.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE customers (
    id TEXT PRIMARY KEY,
    email TEXT,
    name TEXT,
    locale TEXT,
    metadata TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    -- Grows with each change of what the customer holds: caches never replace a newer by an older one.
    version BIGINT NOT NULL
);

-- Which of the provider's customers is which of ours.
CREATE TABLE provider_customers (
    scope TEXT NOT NULL,
    provider_customer TEXT NOT NULL,
    customer TEXT NOT NULL REFERENCES customers (id),
    linked_by TEXT NOT NULL CHECK (linked_by IN ('created', 'operator', 'metadata')),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (scope, provider_customer)
);
CREATE INDEX provider_customers_customer ON provider_customers (customer);

-- The inbox: events as received, redacted, never removed by processing.
CREATE TABLE events (
    seq {IDENTITY},
    provider TEXT NOT NULL,
    account TEXT NOT NULL,
    event_id TEXT NOT NULL,
    livemode BOOLEAN NOT NULL,
    type TEXT NOT NULL,
    object TEXT,
    aggregate TEXT NOT NULL,
    -- The aggregate's `wanted` after this event: it is processed when the aggregate's `done` has reached it.
    mark BIGINT NOT NULL,
    api_version TEXT,
    payload TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('webhook', 'sweep')),
    created_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    deliveries BIGINT NOT NULL,
    UNIQUE (provider, account, event_id)
);
CREATE INDEX events_aggregate ON events (aggregate, mark);

CREATE TABLE aggregates (
    key TEXT PRIMARY KEY,
    wanted BIGINT NOT NULL,
    done BIGINT NOT NULL,
    lease_token TEXT,
    lease_until BIGINT,
    attempts BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    last_error TEXT,
    parked_at BIGINT,
    priority BIGINT NOT NULL,
    -- Look at everything, also at what seldom changes (payments, refunds, one-off purchases).
    thorough BOOLEAN NOT NULL,
    -- When the oldest unanswered hint arrived; for the lag.
    dirty_since BIGINT,
    synced_at BIGINT,
    -- A durable timer: look again then, even if nothing is heard.
    look_at BIGINT,
    CHECK (done <= wanted)
);
CREATE INDEX aggregates_due ON aggregates (next_attempt_at) WHERE done < wanted AND parked_at IS NULL;
CREATE INDEX aggregates_look ON aggregates (look_at) WHERE look_at IS NOT NULL;
CREATE INDEX aggregates_parked ON aggregates (parked_at) WHERE parked_at IS NOT NULL;

-- The mirror.
CREATE TABLE subscriptions (
    scope TEXT NOT NULL,
    id TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    customer TEXT,
    status TEXT NOT NULL,
    plan TEXT,
    digest TEXT NOT NULL,
    data TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (scope, id)
);
CREATE INDEX subscriptions_aggregate ON subscriptions (aggregate);
CREATE INDEX subscriptions_customer ON subscriptions (customer);
CREATE INDEX subscriptions_id ON subscriptions (id);

CREATE TABLE purchases (
    scope TEXT NOT NULL,
    id TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    customer TEXT,
    data TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (scope, id)
);
CREATE INDEX purchases_aggregate ON purchases (aggregate);
CREATE INDEX purchases_customer ON purchases (customer);

CREATE TABLE payments (
    scope TEXT NOT NULL,
    id TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    customer TEXT,
    data TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (scope, id)
);
CREATE INDEX payments_aggregate ON payments (aggregate);
CREATE INDEX payments_customer ON payments (customer);

-- What customers hold because of the mirror, ready to be read; each aggregate replaces its own rows.
CREATE TABLE holdings (
    aggregate TEXT NOT NULL,
    source_type TEXT NOT NULL,
    source_id TEXT NOT NULL,
    line TEXT NOT NULL,
    customer TEXT NOT NULL,
    plan TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    standing TEXT NOT NULL,
    PRIMARY KEY (aggregate, source_type, source_id, line)
);
CREATE INDEX holdings_customer ON holdings (customer);

-- What operators gave by hand.
CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    customer TEXT NOT NULL REFERENCES customers (id),
    plan TEXT,
    feature TEXT,
    feature_limit BIGINT,
    expires_at BIGINT,
    reason TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT,
    CHECK ((plan IS NULL) <> (feature IS NULL))
);
CREATE INDEX grants_customer ON grants (customer);

CREATE TABLE checkouts (
    id TEXT PRIMARY KEY,
    scope TEXT NOT NULL,
    customer TEXT NOT NULL REFERENCES customers (id),
    plan_group TEXT NOT NULL,
    wish TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('creating', 'open', 'processing', 'complete', 'expired')),
    session TEXT,
    url TEXT,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX checkouts_one_open ON checkouts (customer, plan_group) WHERE state IN ('creating', 'open', 'processing');
CREATE UNIQUE INDEX checkouts_session ON checkouts (session) WHERE session IS NOT NULL;

-- Changes that we ask a provider to make, written down before they are sent.
CREATE TABLE commands (
    id TEXT PRIMARY KEY,
    idempotency_key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    -- The object that it changes: commands on one object are numbered, so that the same wish later is another command.
    object TEXT NOT NULL,
    aggregate TEXT,
    customer TEXT,
    request TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'succeeded', 'failed')),
    result TEXT,
    attempts BIGINT NOT NULL,
    -- When it was sent for the first time: the provider forgets keys after a day.
    first_sent_at BIGINT,
    next_attempt_at BIGINT NOT NULL,
    lease_token TEXT,
    lease_until BIGINT,
    last_error TEXT,
    parked_at BIGINT,
    created_at BIGINT NOT NULL,
    finished_at BIGINT
);
CREATE INDEX commands_object ON commands (object);
CREATE INDEX commands_customer ON commands (customer);
CREATE INDEX commands_due ON commands (next_attempt_at) WHERE state = 'pending' AND parked_at IS NULL;

-- The timeline: what changed and what caused it.
CREATE TABLE history (
    seq {IDENTITY},
    customer TEXT,
    aggregate TEXT,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    object TEXT NOT NULL,
    data TEXT NOT NULL,
    cause TEXT NOT NULL
);
CREATE INDEX history_customer ON history (customer, seq);
CREATE INDEX history_unlinked ON history (aggregate) WHERE customer IS NULL;

-- Messages to customers and operators, once per natural key.
CREATE TABLE notices (
    seq {IDENTITY},
    kind TEXT NOT NULL,
    object TEXT NOT NULL,
    occurrence TEXT NOT NULL,
    customer TEXT,
    data TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (kind, object, occurrence)
);
CREATE INDEX notices_customer ON notices (customer);
CREATE TABLE alerts (
    seq {IDENTITY},
    kind TEXT NOT NULL,
    object TEXT NOT NULL,
    customer TEXT,
    detail TEXT NOT NULL,
    mend TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    resolved_at BIGINT,
    aggregate TEXT,
    UNIQUE (kind, object)
);
CREATE INDEX alerts_aggregate ON alerts (aggregate);

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

-- Inbound idempotency: the first answer to a key, to be given again.
CREATE TABLE api_requests (
    api_key TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status BIGINT,
    body TEXT,
    lease_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (api_key, idempotency_key)
);
CREATE INDEX api_requests_age ON api_requests (created_at);

-- How far each sweep has come.
CREATE TABLE sweeps (
    kind TEXT NOT NULL,
    scope TEXT NOT NULL,
    lease_token TEXT,
    lease_until BIGINT,
    -- Where a sweep that was interrupted goes on.
    cursor TEXT,
    -- Up to which provider time everything was seen.
    watermark BIGINT,
    started_at BIGINT,
    finished_at BIGINT,
    next_at BIGINT NOT NULL,
    report TEXT,
    PRIMARY KEY (kind, scope)
);
