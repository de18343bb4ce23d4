-- What sweeps found to differ between mirror and provider, until it is mended, and how long access was wrong.
CREATE TABLE drifts (
    seq {IDENTITY},
    scope TEXT NOT NULL,
    kind TEXT NOT NULL,
    object TEXT NOT NULL,
    customer TEXT,
    aggregate TEXT,
    ours TEXT,
    theirs TEXT,
    cause TEXT NOT NULL,
    cause_detail TEXT,
    wrong TEXT NOT NULL CHECK (wrong IN ('none', 'too_much', 'too_little')),
    -- Since when access was wrong, where that is known, and for how long when it was mended, in milliseconds.
    wrong_since BIGINT,
    wrong_ms BIGINT,
    -- The aggregate's `wanted` after it was marked: a sync that answers it has mended this.
    mark BIGINT,
    state TEXT NOT NULL CHECK (state IN ('open', 'mended', 'ignored')),
    found_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    ended_at BIGINT,
    -- What ended it: `synced`, `gone`, `claimed`, or who ignored it.
    ended_by TEXT
);
CREATE UNIQUE INDEX drifts_one_finding ON drifts (scope, kind, object) WHERE state <> 'mended';
CREATE INDEX drifts_of_aggregate ON drifts (aggregate) WHERE state = 'open' AND mark IS NOT NULL;
CREATE INDEX drifts_open ON drifts (scope, last_seen_at) WHERE state = 'open';
CREATE INDEX drifts_customer ON drifts (customer, seq);

-- Money without a customer is looked for among the entries of the ledger, once each.
CREATE INDEX ledger_entries_money ON ledger_entries (scope, seq) WHERE payment IS NOT NULL;
