"""Load on a gateway: a process under test, a client that does not wait, and what they measured."""
