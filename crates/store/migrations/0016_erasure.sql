-- A customer whose personal data was removed; nothing personal is written about it again.
ALTER TABLE customers ADD COLUMN erased_at BIGINT;
