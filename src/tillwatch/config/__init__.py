"""The chain directory: strict YAML whose every node knows its place in the file."""
