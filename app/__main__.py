"""`python -m app` opens the app."""

from app.launch import main

if __name__ == "__main__":
    main()
