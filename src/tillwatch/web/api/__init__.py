"""HTTP for programs: our own REST, Alertmanager's API, webhooks, metrics and health."""
