-- When the provider was found to have deleted one of its customers. Its subscriptions and money stay ours to know; whoever buys
-- next is another customer there.
ALTER TABLE provider_customers ADD COLUMN gone_at BIGINT;
