"""Opens the network of a command line that asks for features. TensorFlow is imported here, by the function."""

from typing import TYPE_CHECKING

from kerascnn.cli.screen import Screen, quiet, starting
from kerascnn.runs import Run, finding

if TYPE_CHECKING:
    from kerascnn.prediction.embedding import Embedding


def open_network(word: str, batch_size: int, screen: Screen) -> tuple["Embedding", str]:
    """Returns the network of a word on a command line, ready to compute features, and its fingerprint.

    Raises:
        UserError: There is none, or it has no features.
    """
    path = finding.find(word)
    with starting(screen), quiet():
        from kerascnn import artefacts
        from kerascnn.prediction import feature_files
        from kerascnn.prediction.embedding import Embedding
    with quiet(), screen.phase("loading the network"):
        predictor = artefacts.open(path)
        embedding = Embedding(predictor, word, screen, batch_size)
    return embedding, feature_files.fingerprint(path if path.is_file() else Run(path).best_model)
