"""``python -m pixelcnn`` runs ``pixelcnn``."""

from pixelcnn.cli import main

if __name__ == "__main__":
    main()
