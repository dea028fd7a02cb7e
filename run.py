"""The one entry: compose the configuration, check it, hand over to a task. ``python run.py --help`` says more."""

from pixelcnn.cli import main

if __name__ == "__main__":
    main()
