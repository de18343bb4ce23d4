-- What the provider's library pays with, on a page of the app.
ALTER TABLE checkouts ADD COLUMN client_secret TEXT;
