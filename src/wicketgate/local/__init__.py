"""The whole system on one machine, for trying it and for testing it.

Nothing here is imported by the processes that run in production.
"""
