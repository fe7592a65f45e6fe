"""The queue: the only user of its tables. Ingress and scheduler meet here and nowhere else."""
