"""Look at whole datasets: gather everything that is wrong, count what is there, and report both."""
