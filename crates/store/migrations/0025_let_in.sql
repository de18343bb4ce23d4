-- When a person let a customer in again last, in whole or in part: what was seen before is no reason for a rule any more.
ALTER TABLE suspensions ADD COLUMN let_in_at BIGINT;
UPDATE suspensions SET let_in_at = lifted_at;
-- An erasure looks for what was withheld about a customer.
CREATE INDEX shadow_withheld_customer ON shadow_withheld (customer);
