"""What the tests share. `terminal` is for POSIX systems only."""
