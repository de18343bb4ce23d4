-- What must leave the system after a commit: written in the transaction that makes it true, sent afterwards.
CREATE TABLE deliveries (
    seq {IDENTITY},
    channel TEXT NOT NULL CHECK (channel IN ('mail', 'webhook')),
    -- The natural key: one fact is one delivery, however often it is observed.
    key TEXT NOT NULL,
    -- Deliveries of one lane go one after the other, in the order in which they were written.
    lane TEXT NOT NULL,
    -- Whom it goes to, such as an endpoint: what shares a destination shares its troubles.
    destination TEXT NOT NULL,
    customer TEXT,
    payload TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'suppressed', 'failed')),
    attempts BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    lease_token TEXT,
    lease_until BIGINT,
    last_error TEXT,
    created_at BIGINT NOT NULL,
    finished_at BIGINT,
    UNIQUE (channel, key)
);
CREATE INDEX deliveries_due ON deliveries (channel, next_attempt_at) WHERE state = 'pending';
CREATE INDEX deliveries_lane ON deliveries (channel, lane, seq) WHERE state = 'pending';
CREATE INDEX deliveries_customer ON deliveries (customer, seq);
CREATE INDEX deliveries_destination ON deliveries (channel, destination, seq);

-- Each try, as proof and for whoever looks for a fault.
CREATE TABLE delivery_attempts (
    delivery BIGINT NOT NULL REFERENCES deliveries (seq),
    attempt BIGINT NOT NULL,
    began_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('delivered', 'suppressed', 'retry', 'failed')),
    detail TEXT NOT NULL,
    PRIMARY KEY (delivery, attempt)
);
