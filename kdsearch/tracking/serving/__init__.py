"""Web servers of others' pages, on this machine alone: started, watched, ended."""
