"""What happens now: new events as they come, and what is busy in the last minutes and hours (热度数据)."""
