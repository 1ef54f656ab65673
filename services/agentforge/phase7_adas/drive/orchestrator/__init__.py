"""One tick of the driving pipeline: stages in order, each within its deadline, whatever becomes of the others."""
