"""What operators do with queues: statistics, and changes to them."""
