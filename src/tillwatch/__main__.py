"""`python -m tillwatch` is the `tillwatch` command."""

from tillwatch.cli.main import main

if __name__ == "__main__":
    main()
