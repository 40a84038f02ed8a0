"""What fans do (行为事件): definitions, ingestion, daily counters and the follow state."""
