"""What is true of any queue: broker, consuming, retries. Knows no workload."""
