"""`python -m titan` is the command `titan`."""

from titan.cli.main import main

if __name__ == "__main__":
    main()
