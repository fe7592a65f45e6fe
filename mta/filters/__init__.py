"""Step 3, filters: what site and mailbox owners want done with a message."""
