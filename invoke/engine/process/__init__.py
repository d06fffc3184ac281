"""The engine in a process of its own: a proxy here, a worker there, messages between them."""
