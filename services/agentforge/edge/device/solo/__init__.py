"""One file that answers: the program of agent.pyz. Of Python 3.8, with numpy and the standard library alone."""
