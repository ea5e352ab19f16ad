"""Tools of development beside the product: an embedded Redis and `make run`."""
