-- Money that comes back: disputes with their deadlines, and early fraud warnings.
CREATE TABLE disputes (
    seq {IDENTITY},
    scope TEXT NOT NULL,
    id TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    customer TEXT,
    payment TEXT NOT NULL,
    status TEXT NOT NULL,
    -- Whether somebody may still win or lose it.
    is_open BOOLEAN NOT NULL,
    due_by BIGINT,
    data TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (scope, id)
);
CREATE INDEX disputes_scope ON disputes (scope, seq);
CREATE INDEX disputes_open ON disputes (scope, seq) WHERE is_open;

-- Written by the look at the payment that a warning is about; read by the look at its customer.
CREATE TABLE fraud_warnings (
    scope TEXT NOT NULL,
    id TEXT NOT NULL,
    payment TEXT NOT NULL,
    provider_customer TEXT NOT NULL,
    data TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (scope, id)
);
CREATE INDEX fraud_warnings_customer ON fraud_warnings (scope, provider_customer);

CREATE INDEX payments_time ON payments (scope, created_at, id);
