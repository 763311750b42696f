"""The audit log: what happened, in order, never changed."""
