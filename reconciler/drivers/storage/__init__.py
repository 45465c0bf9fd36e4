"""Storage drivers: volumes that keep what pods write."""
