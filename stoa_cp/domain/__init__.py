"""The words that every layer uses: actors, refusals and their codes, a row with its new secrets.

Imports nothing of this project and knows no HTTP.
"""
