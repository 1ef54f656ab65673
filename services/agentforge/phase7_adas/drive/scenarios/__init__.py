"""Named situations on generated roads, and variations of them."""
