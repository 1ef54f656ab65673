"""LoRA adapters: checked from their files, merged into their base by PEFT, or trained and kept beside it."""
