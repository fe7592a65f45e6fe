"""May this enter, and where does it go: pure functions over frozen facts. No I/O, no Django."""
