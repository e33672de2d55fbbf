"""Pure functions from what we know to what a page shows."""
