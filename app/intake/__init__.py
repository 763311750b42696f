"""Taking deletion requests over: from a body, however large, to rows that are committed."""
