"""The modules, a family a file."""
