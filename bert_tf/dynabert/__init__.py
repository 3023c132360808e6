"""DynaBERT: one set of weights whose sub-networks of less width and depth all work."""
