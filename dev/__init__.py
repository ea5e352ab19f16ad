"""What development needs beside the product: an embedded Redis and `make run`."""
