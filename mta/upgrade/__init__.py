"""From another mail server's configuration to rows: read, compare, carry over."""
