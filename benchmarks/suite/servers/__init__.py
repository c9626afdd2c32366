"""What is measured, and its yardsticks, each a process."""
