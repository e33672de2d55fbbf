"""Domain types: frozen, keyword-only, standard library only."""
