BATCHES = {
    "resnet20": (128, 64, 32),
    "inception_small": (128, 64, 32),
    "resnet50": (16, 8, 4),
    "inception_v3": (16, 8, 4),
}
SEARCHES = ()


def text(rows):
    return ""
