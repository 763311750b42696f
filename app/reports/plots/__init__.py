"""The plots of a report, as inline SVG. Each module draws one kind, from plain numbers."""
