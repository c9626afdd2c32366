"""Prometheus' metrics: what is kept elsewhere, read and written when somebody scrapes."""
