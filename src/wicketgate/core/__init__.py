"""The deciding half of wicketgate.

Nothing in this package reads a socket, a file, a clock or a source of
randomness, and nothing logs: time and everything else from outside arrive as
arguments. A denial is a returned value, never an exception.
"""
