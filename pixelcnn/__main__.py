"""``python -m pixelcnn`` is ``pixelcnn``."""

from pixelcnn.cli import main

if __name__ == "__main__":
    main()
