"""What a process does for every run it carries out, whatever the run is of: its turn, its sign of life, its end."""
