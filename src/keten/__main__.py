"""`python -m keten`: the same as the `keten` command."""

from keten.app import main

if __name__ == "__main__":
    main()
