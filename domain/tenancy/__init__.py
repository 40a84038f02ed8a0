"""Groups, brands, dealers, stores and channel accounts: the tree that everything else hangs in."""
