"""The composition roots, one module for each process.

The only modules that construct adapters. They decide nothing and do no IO of
their own.
"""
