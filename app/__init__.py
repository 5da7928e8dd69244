"""The browser app for clinicians: `python -m app`. One page a task; computing happens in jobs, never in a page."""
