"""The user's pages under /mail/: rules, vacation, senders, sent mail, the password."""
