"""What the RFCs define, as plain values and pure functions. Imports nothing of this project."""
