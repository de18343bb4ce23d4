-- Alerts leave by mail and webhook. What is not told yet stands in the alert itself, in the transaction that raised or ended it.
ALTER TABLE alerts ADD COLUMN untold BOOLEAN NOT NULL DEFAULT FALSE;
-- When it was told last that it stands.
ALTER TABLE alerts ADD COLUMN announced_at BIGINT;
CREATE INDEX alerts_untold ON alerts (seq) WHERE untold;
