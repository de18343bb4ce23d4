-- How far a run has come, as people see it: what it does, how much of it is done, and of how much.
ALTER TABLE sweeps ADD COLUMN progress TEXT;
