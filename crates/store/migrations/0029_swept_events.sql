-- Events that sweeps have found: a run that goes on after an interruption reads its own again.
CREATE INDEX events_swept ON events (received_at) WHERE source = 'sweep';
