"""Pages for people: every order is a form that works without a script."""
