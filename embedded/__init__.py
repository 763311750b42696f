"""Expunge on one machine with nothing installed: real servers from wheels, and their supervisor."""
