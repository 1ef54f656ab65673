"""Named situations on generated roads, and endless variations of them."""
