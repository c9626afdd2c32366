"""What the status page tells: kept while the process runs, and made into one document.

Everything is made of an allowlist of fields, as log lines are: reasons, names that the
operator gave, counts, times, and of a denied user whose token held, the Clerk id.
"""
