"""Answers about traffic and usage: date ranges, JSON and CSV."""
