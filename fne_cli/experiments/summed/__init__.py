"""What has been measured, put together into one table."""
