"""What a fan can earn today (任务中心)."""
