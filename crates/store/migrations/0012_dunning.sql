-- Payments that failed, and what became of them: one row for each invoice of a subscription.
CREATE TABLE dunning_cases (
    seq {IDENTITY},
    scope TEXT NOT NULL,
    subscription TEXT NOT NULL,
    invoice TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    customer TEXT,
    cause TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('open', 'recovered', 'forgiven', 'lost', 'cancelled')),
    recovery TEXT,
    -- What was at risk, in minor units.
    amount BIGINT NOT NULL,
    currency TEXT NOT NULL,
    at_risk_since BIGINT NOT NULL,
    ended_at BIGINT,
    data TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (scope, subscription, invoice)
);
CREATE INDEX dunning_cases_aggregate ON dunning_cases (aggregate, seq);
CREATE INDEX dunning_cases_customer ON dunning_cases (customer, seq);
CREATE INDEX dunning_cases_time ON dunning_cases (scope, at_risk_since);
