"""Business systems we read from and, when allowed, write documents to. One plugin a file or folder."""
