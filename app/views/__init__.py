"""The scripts of the pages, one page a task; `app.main` lists them."""
