"""Data: corpora, tasks with exact answers, tokenizer and loaders. No torch before a batch asks for it.

splits -> which of train / calibration / selection / test a text belongs to, for ever
tasks  -> families of questions with exact answers and a knob of difficulty
sources -> documents from the standard library, files of many formats, and the Hugging Face hub
tokenizer, codec -> byte-level BPE; text to ids and back
rows, streams, loader -> fixed-length rows, mixed by weight, resumable to the exact token
drills -> rows that teach the inner steps of a family
scoring, quality, duplicates -> numbers about answers and about corpora
"""
