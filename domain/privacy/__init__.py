"""A fan's own data: taking it along and having it erased (个人信息权利)."""
