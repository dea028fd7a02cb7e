"""Lightning's CSV files, safe on a full disk."""

from pathlib import Path

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from pixelcnn.durable import warning_when_full


class CSVLog(CSVLogger):
    """On a full disk its file is unchanged, and the rows wait for the next time."""

    @rank_zero_only
    def save(self) -> None:
        """As Lightning's, which writes the whole file again for a new column."""
        writer = self.experiment
        file, columns = Path(writer.metrics_file_path), list(writer.metrics_keys)
        before = file.read_bytes() if file.exists() else None
        with warning_when_full(file):
            try:
                super().save()
            except OSError:
                writer.metrics_keys[:] = columns
                file.unlink(missing_ok=True)
                if before is not None:
                    file.write_bytes(before)
                raise
