"""A catalogue to look at: some hundred parts that could exist, the same ones every time, made by invented makers."""
