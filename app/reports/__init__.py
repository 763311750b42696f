"""What a person reads of a run: its report as one document, and as one page."""
