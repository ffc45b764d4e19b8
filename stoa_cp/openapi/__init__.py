"""The OpenAPI 3.1 document: generated from the views, committed as a snapshot, served with two readers."""
