"""What `make run` starts around the product on a machine that has only Python; never part of production."""
