-- Beside an existing integration: what the app answered last and what we would have answered then.
CREATE TABLE shadow_answers (
    customer TEXT NOT NULL,
    feature TEXT NOT NULL,
    theirs BOOLEAN NOT NULL,
    ours BOOLEAN NOT NULL,
    -- Since when the two differ without a break.
    differs_since BIGINT,
    reports BIGINT NOT NULL,
    differed BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (customer, feature)
);
CREATE INDEX shadow_answers_differing ON shadow_answers (customer, feature) WHERE differs_since IS NOT NULL;

-- What we would have asked of the provider, and did not.
CREATE TABLE shadow_withheld (
    seq {IDENTITY},
    scope TEXT NOT NULL,
    kind TEXT NOT NULL,
    object TEXT NOT NULL,
    customer TEXT,
    request TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    UNIQUE (scope, kind, object)
);
