"""Phase 1, Cognate: from nothing to a shared trunk and three models that each know one thing best.

config -> what can be set          phase -> the story          corpus -> text and tokenizer
stages -> trunk and branches, resumable
evaluation -> held-out numbers     cards -> what stands beside the weights
"""
