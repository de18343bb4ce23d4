-- Whose answer it is, so that an erasure finds it. Answers that are here already are forgotten within a day by default.
ALTER TABLE api_requests ADD COLUMN customer TEXT;
CREATE INDEX api_requests_customer ON api_requests (customer) WHERE customer IS NOT NULL;
