"""Step 3, the kinds of site filters; each is one file."""
