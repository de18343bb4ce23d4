-- An aggregate is dirty from its first unanswered hint on, which `dirty_since` says. So that a further hint changes one column that
-- stands in no index, the index of what is due asks for that instead of comparing `done` with `wanted`.
UPDATE aggregates SET dirty_since = next_attempt_at WHERE done < wanted AND dirty_since IS NULL;
DROP INDEX aggregates_due;
CREATE INDEX aggregates_due ON aggregates (priority DESC, next_attempt_at) WHERE dirty_since IS NOT NULL AND parked_at IS NULL;
