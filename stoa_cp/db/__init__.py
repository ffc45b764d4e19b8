"""Rows in general: public ids, model fields, constraint violations, changed fields, prepared statements."""
