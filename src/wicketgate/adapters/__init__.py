"""The outside world, one thing per module; none decides, and none imports another."""
