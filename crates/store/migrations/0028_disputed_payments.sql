-- Which payments of an aggregate are disputed: asked for at each look that reads payments.
CREATE INDEX disputes_aggregate ON disputes (aggregate);
