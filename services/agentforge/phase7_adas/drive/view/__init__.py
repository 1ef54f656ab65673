"""Pictures from above: a strip of moments and a moving clip, as SVG that needs nothing else."""
