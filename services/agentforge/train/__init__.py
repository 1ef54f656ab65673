"""Training: one loop for every phase, its optimisers, and the numbers it reports. Only `config` is free of torch.

config -> what can be set        schedule -> the learning rate of a step       optim -> AdamW and Muon
grokfast -> the gradient filter  state -> what survives a kill, to the bit     loop -> the loop
distribution -> several ranks as one
evaluate -> answers to held-out items, loss on held-out text
"""
