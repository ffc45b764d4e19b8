"""Reads the access logs of gateways.

``tail.LogTailer`` yields new lines of a growing and rotating log, ``formats.read_records`` makes traffic records of
them. The command ``ship_access_log`` joins both and posts the records. Invariants: each line is delivered once, also
if the process is killed at any point; a damaged line stops nothing. Nothing here uses the database, so the command
runs beside the proxy, on another machine.
"""
