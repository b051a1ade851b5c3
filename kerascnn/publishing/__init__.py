"""Publishing: an export of a run goes to a model hub, with a card that the hub understands. No TensorFlow here."""
