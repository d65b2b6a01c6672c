"""`spot`: the command line over the API. Each module is a group of commands; `main` has them all."""
