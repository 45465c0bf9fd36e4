"""Network drivers: addresses for pods, and services that reach them."""
