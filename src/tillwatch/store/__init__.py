"""Our own state: the only package that knows SQL for it, and the only one that commits."""
