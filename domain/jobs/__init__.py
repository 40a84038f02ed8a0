"""Work that is longer than a request: done in steps by the worker, and gone on with wherever one ended (任务)."""
