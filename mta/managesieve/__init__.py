"""Users' mail programs edit their scripts here (RFC 5804): a door beside the ingress."""
