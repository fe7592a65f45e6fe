"""Step 1: ESMTP verbs become a transaction. The 250 is sent only after the commit."""
