"""Step 5: due recipients become routed, leased batches; what transports report becomes outcomes."""
