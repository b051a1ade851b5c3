"""What TensorBoard 2.21 reads and does not export: its plugins' protocol buffers and the summaries that hold them."""

from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.summary import session_end_pb
from tensorboard.plugins.pr_curve import summary as pr_curve

__all__ = ["api_pb2", "custom_scalar", "hparams", "layout_pb2", "pr_curve", "session_end_pb"]
