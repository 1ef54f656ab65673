"""Who may do what: tokens with scopes, sessions of browsers, limits, and a log of every change."""
