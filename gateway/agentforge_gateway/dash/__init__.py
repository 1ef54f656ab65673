"""The pages for people: rendered here, kept up to date by server-sent events, without a CDN."""
