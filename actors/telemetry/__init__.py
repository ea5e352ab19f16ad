"""What operators see of a process: numbers, lines of log, traces."""
