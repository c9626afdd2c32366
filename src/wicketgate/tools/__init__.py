"""Tools for whoever writes a policy: check it, test it, explain it, compare two of it."""
