-- Tries of the rounds before: somebody who lets a delivery be tried again begins its schedule anew, and its log goes on.
ALTER TABLE deliveries ADD COLUMN attempts_before BIGINT NOT NULL DEFAULT 0;
