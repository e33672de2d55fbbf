"""Validations: rules on the rows of one dataset, run by a schedule, reported like an audit."""
