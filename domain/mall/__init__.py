"""The points mall (积分商城): gifts, and what fans redeem of them."""
