"""The rows that are most like a row, and what they vote for."""
