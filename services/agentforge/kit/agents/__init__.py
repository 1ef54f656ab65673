"""Agents of a phase: tasks in one dependency graph, under deadlines, saved from faults where that can be. No torch.

`run.run_graph` is the way in; a phase declares `agent.Agent`s and reads `report.GraphReport`.
"""
