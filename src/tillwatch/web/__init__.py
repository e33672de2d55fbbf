"""Pages and HTTP APIs. Handlers parse, call, return; what they call stands in `services`."""
