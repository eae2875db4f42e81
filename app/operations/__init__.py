"""What watches the container: supervisor's API and health. Knows no workload."""
