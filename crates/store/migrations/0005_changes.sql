-- What a change of a subscription was said to cost: the change is then made exactly so, or not at all.
CREATE TABLE quotes (
    id TEXT PRIMARY KEY,
    scope TEXT NOT NULL,
    subscription TEXT NOT NULL,
    data TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX quotes_age ON quotes (expires_at);

-- Who had a trial: by customer, card and e-mail, each as a keyed hash. The first subscription to claim one has it.
CREATE TABLE trial_claims (
    scope TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('customer', 'card', 'email')),
    value TEXT NOT NULL,
    subscription TEXT NOT NULL,
    claimed_at BIGINT NOT NULL,
    PRIMARY KEY (scope, kind, value)
);

-- Which trials were looked at, and with which card, so that no trial is judged twice for the same card.
CREATE TABLE trials (
    scope TEXT NOT NULL,
    subscription TEXT NOT NULL,
    card TEXT,
    judged_at BIGINT NOT NULL,
    PRIMARY KEY (scope, subscription)
);
