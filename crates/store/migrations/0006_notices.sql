-- Notices say what they are about and by which rules, so that what was told when can be shown; announced changes.

ALTER TABLE notices ADD COLUMN aggregate TEXT;
-- The moment that lies ahead and is told of: the end of a trial, a renewal.
ALTER TABLE notices ADD COLUMN about BIGINT;
-- The rules that ask for it and how it kept them, JSON.
ALTER TABLE notices ADD COLUMN rules TEXT NOT NULL DEFAULT '[]';
CREATE INDEX notices_aggregate ON notices (aggregate, seq) WHERE aggregate IS NOT NULL;

-- Changes of price or terms that operators announce.
CREATE TABLE announcements (
    id TEXT PRIMARY KEY,
    scope TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('price_changing', 'terms_changing')),
    effective_at BIGINT NOT NULL,
    data TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    withdrawn_at BIGINT
);
CREATE INDEX announcements_scope ON announcements (scope, effective_at);
